package gradcube.kylin;

import org.apache.kylin.rest.security.KylinAclPermissionEvaluator;
import org.apache.kylin.rest.security.KylinAuthenticationProvider;
import org.apache.kylin.rest.security.UnauthorisedEntryPoint;
import org.apache.kylin.rest.service.AclService;
import org.apache.kylin.rest.service.KylinUserService;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.access.PermissionEvaluator;
import org.springframework.security.acls.domain.PermissionFactory;
import org.springframework.security.authentication.AuthenticationManager;
import org.springframework.security.authentication.dao.DaoAuthenticationProvider;
import org.springframework.security.config.annotation.authentication.builders.AuthenticationManagerBuilder;
import org.springframework.security.config.annotation.method.configuration.EnableGlobalMethodSecurity;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.annotation.web.configuration.EnableWebSecurity;
import org.springframework.security.config.annotation.web.configuration.WebSecurityConfigurerAdapter;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;

/** Everything needs an account but what servers and receivers tell one another, which knows no accounts. */
@Configuration
@EnableWebSecurity
@EnableGlobalMethodSecurity(prePostEnabled = true)
class Access extends WebSecurityConfigurerAdapter {
    private static final String[] AMONG_NODES = {"/api/admin/version", "/api/cache/**", "/api/streaming_coordinator/**"};

    @Bean
    PermissionEvaluator permissionEvaluator(AclService acls, PermissionFactory permissions) {
        return new KylinAclPermissionEvaluator(acls, permissions);
    }

    @Bean
    KylinAuthenticationProvider kylinAuthenticationProvider(KylinUserService users, BCryptPasswordEncoder encoder) {
        DaoAuthenticationProvider provider = new DaoAuthenticationProvider();
        provider.setUserDetailsService(users);
        provider.setPasswordEncoder(encoder);
        return new KylinAuthenticationProvider(provider);
    }

    @Bean
    @Override
    public AuthenticationManager authenticationManager() throws Exception {
        return super.authenticationManager();
    }

    @Override
    protected void configure(AuthenticationManagerBuilder builder) throws Exception {
        builder.authenticationProvider(getApplicationContext().getBean(KylinAuthenticationProvider.class));
    }

    @Override
    protected void configure(HttpSecurity http) throws Exception {
        http.csrf().disable();
        http.httpBasic().authenticationEntryPoint(getApplicationContext().getBean(UnauthorisedEntryPoint.class));
        http.authorizeRequests()
                .antMatchers(AMONG_NODES).permitAll()
                .antMatchers("/api/admin/**").hasRole("ADMIN")
                .anyRequest().authenticated();
    }
}
