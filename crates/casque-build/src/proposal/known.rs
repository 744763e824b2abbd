//! Programs that are known by their name: what part they play, when they serve, and how long they take to stop.

/// What a service is for; what comes first is needed by what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Keeps data or messages.
    Store,
    /// Runs to its end before the others.
    Setup,
    /// Answers requests.
    Web,
    /// Works without being asked by a customer's browser.
    Worker,
    /// Serves the exposed ports.
    Front,
}

/// What is known of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) part: Part,
    /// For people.
    pub(super) title: &'static str,
    /// The key of `ready`; empty when nobody knows.
    pub(super) ready: &'static str,
    /// The port it listens on when nothing else is said; none for what has no usual one.
    pub(super) port: Option<u16>,
    /// Whether the product is none without it.
    pub(super) critical: bool,
    /// Seconds it may take to stop.
    pub(super) stop: u64,
    /// The signal for an ordered stop, where TERM is none.
    pub(super) signal: Option<&'static str>,
    /// The Debian package that has it.
    pub(super) package: Option<&'static str>,
    /// Where Debian's package keeps its data.
    pub(super) data: Option<&'static str>,
}

const fn store(title: &'static str, ready: &'static str, port: u16) -> Known {
    Known {
        part: Part::Store,
        title,
        ready,
        port: Some(port),
        critical: true,
        stop: 4,
        signal: None,
        package: None,
        data: None,
    }
}

const fn web(title: &'static str, port: u16) -> Known {
    Known { part: Part::Web, stop: 3, ..store(title, "http", port) }
}

const fn worker(title: &'static str, stop: u64) -> Known {
    Known { part: Part::Worker, port: None, critical: false, stop, ..store(title, "", 0) }
}

const POSTGRESQL: Known = Known {
    signal: Some("INT"),
    package: Some("postgresql"),
    data: Some("/var/lib/postgresql"),
    ..store("PostgreSQL", "tcp", 5432)
};
const MARIADB: Known =
    Known { package: Some("mariadb-server"), data: Some("/var/lib/mysql"), ..store("MariaDB", "tcp", 3306) };
const NGINX: Known =
    Known { part: Part::Front, stop: 1, package: Some("nginx-light"), ..store("nginx", "", 80) };
/// What nothing is known of.
pub(super) const OTHER: Known = Known { critical: true, ..worker("a program of the product", 3) };

/// Programs by the word that says which.
const KNOWN: [(&str, Known); 27] = [
    ("mongod", Known { data: Some("/var/lib/mongodb"), ..store("MongoDB", "mongodb", 27017) }),
    (
        "redis-server",
        Known {
            stop: 3,
            package: Some("redis-server"),
            data: Some("/var/lib/redis"),
            ..store("Redis", "redis", 6379)
        },
    ),
    ("postgres", POSTGRESQL),
    ("postgresql", POSTGRESQL),
    ("mysqld", MARIADB),
    ("mariadbd", MARIADB),
    ("mariadb", MARIADB),
    (
        "rabbitmq-server",
        Known {
            package: Some("rabbitmq-server"),
            data: Some("/var/lib/rabbitmq"),
            ..store("RabbitMQ", "tcp", 5672)
        },
    ),
    (
        "memcached",
        Known { critical: false, stop: 1, package: Some("memcached"), ..store("memcached", "tcp", 11211) },
    ),
    ("elasticsearch", store("Elasticsearch", "tcp", 9200)),
    ("nginx", NGINX),
    ("gunicorn", web("gunicorn", 8000)),
    ("uvicorn", web("uvicorn", 8000)),
    ("hypercorn", web("hypercorn", 8000)),
    ("daphne", web("daphne", 8000)),
    ("waitress-serve", web("waitress", 8080)),
    ("uwsgi", Known { signal: Some("INT"), ..web("uWSGI", 8000) }),
    ("puma", web("puma", 9292)),
    ("runserver", web("Django's own server", 8000)),
    ("http.server", web("Python's own server", 8000)),
    ("worker", worker("a worker", 3)),
    ("beat", worker("a scheduler", 1)),
    ("flower", worker("a monitor of workers", 1)),
    ("sidekiq", worker("a worker", 3)),
    ("rqworker", worker("a worker", 3)),
    ("rqscheduler", worker("a scheduler", 1)),
    ("cron", Known { package: Some("cron"), ..worker("cron", 1) }),
];

/// Returns what is known of the program that a command runs.
pub(super) fn recognise(command: &[String], oneshot: bool) -> Known {
    if oneshot {
        return Known { part: Part::Setup, critical: true, ..worker("a set-up that runs to its end", 0) };
    }
    let base = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
    let words: Vec<String> = command.iter().map(base).collect();
    // `celery worker`, `python -m gunicorn` and `manage.py runserver` are known by a later word.
    let named = |known: &&(&str, Known)| words.iter().take(8).position(|word| word == known.0);
    let first = KNOWN.iter().filter_map(|known| Some((named(&known)?, known.1))).min_by_key(|found| found.0);
    let mut known = first.map_or(OTHER, |found| found.1);
    if words.iter().any(|word| word == "celery") {
        known.title = match known.title {
            "a worker" => "a worker of Celery",
            "a scheduler" => "the scheduler of Celery",
            "a monitor of workers" => "Flower",
            _ => "Celery",
        };
    }
    known
}

/// Returns where a command says it listens: an address with a port, or `unix:` with a path.
pub(super) fn listens(command: &[String]) -> Option<String> {
    let option = |names: &[&str]| {
        command.iter().enumerate().find_map(|(at, word)| {
            let after = |name: &&str| word.strip_prefix(&format!("{name}=")).map(str::to_owned);
            names
                .iter()
                .find_map(after)
                .or_else(|| names.contains(&word.as_str()).then(|| command.get(at + 1).cloned()).flatten())
        })
    };
    let whole = option(&["--bind", "-b", "--listen", "--http", "--http-socket"])
        .or_else(|| Some(format!("unix:{}", option(&["--uds", "-u"]).filter(|path| path.starts_with('/'))?)))
        .or_else(|| option(&["--port", "-p"]))
        .or_else(|| command.last().filter(|word| word.contains(':')).cloned())?;
    if whole.starts_with("unix:") {
        return Some(whole);
    }
    let port: u16 = whole.rsplit(':').next()?.parse().ok()?;
    Some(format!("127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_program_is_known_by_the_word_that_says_which() {
        let title = |line: &str| recognise(&words(line), false).title;
        assert_eq!(title("/opt/mongodb/mongod --config /etc/mongod.conf"), "MongoDB");
        assert_eq!(title("/opt/venv/bin/celery --app shop.tasks worker"), "a worker of Celery");
        assert_eq!(title("celery -A shop beat"), "the scheduler of Celery");
        assert_eq!(title("python3 -m gunicorn shop.wsgi"), "gunicorn");
        assert_eq!(title("/opt/shop/bin/shopd"), "a program of the product");
        assert_eq!(recognise(&words("gunicorn x"), true).part, Part::Setup);
    }

    #[test]
    fn where_a_program_listens_is_in_its_options() {
        let at = |line: &str| listens(&words(line));
        assert_eq!(at("gunicorn --bind 0.0.0.0:9000 a:b").unwrap(), "127.0.0.1:9000");
        assert_eq!(at("gunicorn --bind=unix:/run/a.sock a:b").unwrap(), "unix:/run/a.sock");
        assert_eq!(at("uvicorn --uds /run/a.sock a:b").unwrap(), "unix:/run/a.sock");
        assert_eq!(at("uvicorn a:b --port 81").unwrap(), "127.0.0.1:81");
        assert_eq!(at("python manage.py runserver 0.0.0.0:82").unwrap(), "127.0.0.1:82");
        assert_eq!(at("gunicorn shop.wsgi:application"), None);
    }
}
