import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints what gradcube finds, and posts it to a URL if one is given: Alert.java SCHEMA_FILE BOOTSTRAP [URL]. */
public class Alert {
    static final byte[] HEADER = {0, 0, 0, 0, 6}; // 6 is the id of Finding.avsc in schemas/events/index.yaml

    public static void main(String[] args) throws Exception {
        var reader = new GenericDatumReader<GenericRecord>(new Schema.Parser().parse(new File(args[0])));
        Map<String, Object> settings =
                Map.of("bootstrap.servers", args[1], "group.id", "alerting-java", "auto.offset.reset", "earliest");
        try (var consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("gradcube.findings"));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    var value = record.value();
                    if (value == null || value.length < 5 || !Arrays.equals(HEADER, 0, 5, value, 0, 5)) {
                        System.err.printf(
                                "offset %d is of another schema: take it from a newer release%n", record.offset());
                        continue;
                    }
                    var decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
                    var finding = reader.read(null, decoder);
                    if (!finding.get("state").toString().equals("UPDATED")) { // an episode begins, and ends, once
                        var text = "%s %s %s: %s".formatted(
                                finding.get("job"), finding.get("kind"), finding.get("state"), finding.get("verdict"));
                        System.out.println(text);
                        if (args.length > 2) forward(args[2], text);
                    }
                }
            }
        }
    }

    static void forward(String url, String text) throws Exception {
        var body = new ObjectMapper().writeValueAsString(Map.of("text", text)); // what chat webhooks take
        var request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(10))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding());
    }
}
