//! Numbers of the users that packages make, so that a file in a volume belongs to the same user after every update.
//!
//! adduser takes the first number that is free, so a user's would depend on which packages are there and on their
//! order. It takes numbers from a table when its configuration names one: while a build runs programs, it does. A name
//! that is not in the table can be given a number by `[users.NAME]`, which adduser then finds there already.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Users and their groups, by name: a number that was given stays, a new name takes the next above all others.
///
/// The range is one that neither adduser (from 100 up) nor useradd and sysusers (from 999 down) reach by themselves.
#[rustfmt::skip]
const IDS: &[(&str, u32)] = &[
    ("_chrony", 300), ("_rpc", 301), ("_ssh", 302), ("amavis", 303), ("apt-cacher-ng", 304),
    ("arangodb", 305), ("asterisk", 306), ("avahi", 307), ("bacula", 308), ("beanstalkd", 309),
    ("bind", 310), ("bitlbee", 311), ("caddy", 312), ("cassandra", 313), ("ceph", 314), ("clamav", 315),
    ("clickhouse", 316), ("cockroach", 317), ("colord", 318), ("consul", 319), ("coturn", 320),
    ("couchbase", 321), ("couchdb", 322), ("cups-pk-helper", 323), ("dbus", 324), ("Debian-exim", 325),
    ("Debian-snmp", 326), ("debian-spamd", 327), ("debian-tor", 328), ("dhcpd", 329), ("dnsmasq", 330),
    ("docker", 331), ("dovecot", 332), ("dovenull", 333), ("elasticsearch", 334), ("epmd", 335),
    ("etcd", 336), ("fluent", 337), ("fluentd", 338), ("freerad", 339), ("ftp", 340), ("geoclue", 341),
    ("gitea", 342), ("gitlab-runner", 343), ("grafana", 344), ("greylist", 345), ("haproxy", 346),
    ("icecast2", 347), ("influxdb", 348), ("jenkins", 349), ("jetty", 350), ("kafka", 351),
    ("keycloak", 352), ("kibana", 353), ("knot", 354), ("knot-resolver", 355), ("kresd", 356), ("kvm", 357),
    ("libvirt-qemu", 358), ("lightdm", 359), ("linkerd", 360), ("logcheck", 361), ("logstash", 362),
    ("mailman", 363), ("mariadb", 364), ("mattermost", 365), ("memcache", 366), ("messagebus", 367),
    ("minidlna", 368), ("minio", 369), ("mongod", 370), ("mongodb", 371), ("mosquitto", 372),
    ("munin", 373), ("mysql", 374), ("nagios", 375), ("ndjbdns", 376), ("neo4j", 377), ("netdata", 378),
    ("nginx", 379), ("node-exporter", 380), ("nomad", 381), ("nsd", 382), ("ntp", 383), ("ntpsec", 384),
    ("nut", 385), ("opendkim", 386), ("opendmarc", 387), ("openldap", 388), ("opensearch", 389),
    ("openvpn", 390), ("otelcol", 391), ("pdns", 392), ("polkitd", 393), ("postdrop", 394),
    ("postfix", 395), ("postgres", 396), ("postsrsd", 397), ("proftpd", 398), ("prometheus", 399),
    ("promtail", 400), ("prosody", 401), ("pulse", 402), ("puppet", 403), ("quagga", 404), ("questdb", 405),
    ("rabbitmq", 406), ("radicale", 407), ("redis", 408), ("rethinkdb", 409), ("rspamd", 410),
    ("rtkit", 411), ("rundeck", 412), ("saned", 413), ("scylla", 414), ("shinken", 415), ("smmsp", 416),
    ("smmta", 417), ("snmp", 418), ("solr", 419), ("speech-dispatcher", 420), ("squid", 421), ("sshd", 422),
    ("ssl-cert", 423), ("sssd", 424), ("statd", 425), ("strongswan", 426), ("stunnel4", 427),
    ("supervisor", 428), ("tcpdump", 429), ("telegraf", 430), ("tftp", 431), ("tomcat", 432),
    ("traefik", 433), ("transmission", 434), ("tss", 435), ("turnserver", 436), ("unbound", 437),
    ("uuidd", 438), ("uwsgi", 439), ("valkey", 440), ("varnish", 441), ("vcache", 442),
    ("victoriametrics", 443), ("vsftpd", 444), ("xrdp", 445), ("zabbix", 446), ("zookeeper", 447),
    ("crontab", 448),
];

/// Returns the table as adduser reads it, without the names and numbers that are `taken`.
pub(crate) fn pool(taken: &[(&str, u32)]) -> String {
    let names: BTreeSet<&str> = taken.iter().map(|(name, _)| *name).collect();
    let numbers: BTreeSet<u32> = taken.iter().map(|(_, number)| *number).collect();
    let free = IDS.iter().filter(|(name, number)| !names.contains(name) && !numbers.contains(number));
    free.fold(String::new(), |mut text, (name, number)| {
        let _ = writeln!(text, "{name}:{number}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_number_of_its_own_that_nobody_else_gives() {
        let names: BTreeSet<_> = IDS.iter().map(|(name, _)| name).collect();
        let numbers: BTreeSet<_> = IDS.iter().map(|(_, number)| number).collect();
        assert_eq!((names.len(), numbers.len()), (IDS.len(), IDS.len()));
        assert!(IDS.iter().all(|(_, number)| (300..=799).contains(number)));
    }

    #[test]
    fn numbers_that_were_given_do_not_move() {
        let given = ["mongodb", "nginx", "postgres", "redis"].map(|name| {
            IDS.iter()
                .find(|(known, _)| *known == name)
                .map(|(name, number)| format!("{name} {number}"))
                .unwrap()
        });
        assert_eq!(given.join(", "), "mongodb 371, nginx 379, postgres 396, redis 408");
    }

    #[test]
    fn what_the_manifest_gives_is_left_to_it() {
        let all = pool(&[]);
        let without = pool(&[("redis", 5000), ("own", 300)]);
        let gone: Vec<_> = all.lines().filter(|line| !without.lines().any(|kept| kept == *line)).collect();
        assert_eq!(gone.len(), 2);
        assert!(gone[0].ends_with(":300") && gone[1].starts_with("redis:"), "{gone:?}");
    }
}
