package gradcube.kylin;

import org.apache.kylin.rest.init.InitialTaskManager;
import org.apache.kylin.rest.security.AclPermissionFactory;
import org.apache.kylin.rest.security.PasswordPlaceholderConfigurer;
import org.apache.kylin.rest.service.KylinUserGroupService;
import org.apache.kylin.rest.service.KylinUserService;
import org.springframework.cache.CacheManager;
import org.springframework.cache.annotation.EnableCaching;
import org.springframework.cache.concurrent.ConcurrentMapCacheManager;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.ComponentScan;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.acls.domain.AclAuthorizationStrategy;
import org.springframework.security.acls.domain.AclAuthorizationStrategyImpl;
import org.springframework.security.acls.domain.AuditLogger;
import org.springframework.security.acls.domain.ConsoleAuditLogger;
import org.springframework.security.acls.domain.DefaultPermissionGrantingStrategy;
import org.springframework.security.acls.domain.PermissionFactory;
import org.springframework.security.acls.model.PermissionGrantingStrategy;
import org.springframework.security.core.authority.SimpleGrantedAuthority;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;

/** Kylin's controllers and services, found by their annotations, and what they ask Spring for beside each other. */
@Configuration
@EnableCaching
@ComponentScan("org.apache.kylin.rest")
class Services {
    @Bean
    static PasswordPlaceholderConfigurer placeholders() throws Exception {
        PasswordPlaceholderConfigurer configurer = new PasswordPlaceholderConfigurer();
        configurer.setIgnoreResourceNotFound(true);
        return configurer;
    }

    @Bean
    CacheManager cacheManager() {
        return new ConcurrentMapCacheManager();
    }

    @Bean
    InitialTaskManager initialTaskManager() {
        return new InitialTaskManager();
    }

    @Bean
    KylinUserService userService() throws Exception {
        return new KylinUserService(Accounts.all());
    }

    @Bean
    KylinUserGroupService userGroupService() {
        return new KylinUserGroupService();
    }

    @Bean
    BCryptPasswordEncoder passwordEncoder() {
        return new BCryptPasswordEncoder();
    }

    @Bean
    PermissionFactory aclPermissionFactory() {
        return new AclPermissionFactory();
    }

    @Bean
    AclAuthorizationStrategy aclAuthorizationStrategy() {
        return new AclAuthorizationStrategyImpl(new SimpleGrantedAuthority("ROLE_ADMIN"));
    }

    @Bean
    AuditLogger auditLogger() {
        return new ConsoleAuditLogger();
    }

    @Bean
    PermissionGrantingStrategy permissionGrantingStrategy(AuditLogger auditLogger) {
        return new DefaultPermissionGrantingStrategy(auditLogger);
    }
}
