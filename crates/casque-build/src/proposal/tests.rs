//! Whole projects, and what is proposed for them.

use std::path::Path;

use insta::assert_snapshot;

use super::propose;
use crate::check::check;
use crate::manifest::Manifest;

/// Returns the proposal for a project called `shop` of these files, as text; it has to pass the check.
fn proposed(files: &[(&str, &str)]) -> String {
    let place = tempfile::tempdir().unwrap();
    let project = place.path().join("shop");
    fs_err::create_dir(&project).unwrap();
    for (name, text) in files {
        let path = project.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let proposal = propose(&project).unwrap();
    assert_eq!(propose(&project).unwrap(), proposal, "the same files give the same text");
    let manifest = Manifest::of_text(&project.join("casque.toml"), &proposal.manifest)
        .unwrap_or_else(|error| panic!("{error}\n{}", proposal.manifest));
    check(&manifest).unwrap();
    let lines = |title: &str, lines: &[String]| match lines.is_empty() {
        true => String::new(),
        false => format!("{title}:\n  {}\n", lines.join("\n  ")),
    };
    format!(
        "{}\n{}{}{}",
        proposal.manifest,
        lines("found", &proposal.found),
        lines("to decide", &proposal.undecided),
        lines("next", &proposal.next)
    )
}

#[test]
fn an_empty_directory_gets_a_frame_to_fill() {
    assert_snapshot!(proposed(&[]), @r#"
    # Proposed by `casque init`. `casque check` says whether it holds together.

    [image]
    name = "vendor/shop"
    version = "0.1.0"
    command = "shop"

    [base]
    distribution = "debian"
    suite = "bookworm"

    # [[layer]]
    # name = "deploy"
    # mount = [{ from = ".", to = "/src" }]
    # run = "sh /src/install.sh"
    # network = true

    found:
      the directory's name: name `shop`
    to decide:
      nothing says the product's version; `0.1.0` stands in for it
      nothing says how the product is installed: a `[[layer]]` with `run`, or with `packages` and `copy`, does
      no service was found: a `[service.NAME]` says what runs, by `from` or `command`
    next:
      read the manifest: names, descriptions and order are proposals
      `casque check`, then `casque lock`, then `casque build`
    "#);
}

#[test]
fn a_procfile_with_requirements_becomes_services_of_an_environment() {
    let files = [
        (
            "Procfile",
            "release: python manage.py migrate\nweb: gunicorn shop.wsgi --bind 0.0.0.0:$PORT\nworker: celery -A shop worker\n",
        ),
        ("requirements.txt", "django\ngunicorn\ncelery\n"),
        (".env.example", "SECRET_KEY=change-me\nDATABASE_URL=\nSHOP_DEBUG_MAIL=false\nPORT=8000\n"),
        (".gitignore", ".env\n"),
        ("manage.py", "import sys\n"),
        ("shop/urls.py", "urlpatterns = [path('health/', view)]\n"),
        ("docker-compose.yml", "services:\n  db:\n    image: postgres\n"),
        ("pyproject.toml", "[project]\nname = \"Shop Web\"\nversion = \"1.2.0\"\n"),
    ];
    assert_snapshot!(proposed(&files), @r#"
    # Proposed by `casque init`. `casque check` says whether it holds together.

    [image]
    name = "vendor/shop-web"
    version = "1.2.0"
    expose = [80]
    command = "shop-web"

    [base]
    distribution = "debian"
    suite = "bookworm"

    [[layer]]
    name = "packages"
    packages = ["nginx-light"]

    # `requirements.txt` has no hashes, so pip installs it while `casque lock` records. With hashes this layer needs no step:
    # pip-compile --generate-hashes --pip-args='--only-binary :all:' --output-file=requirements.lock requirements.txt
    # python = { venv = "/opt/shop-web/venv", requirements = "requirements.lock" }
    [[layer]]
    name = "libraries"
    packages = ["python3-venv"]
    mount = [{ from = "requirements.txt", to = "/src/requirements.txt" }]
    run = "python3 -m venv /opt/shop-web/venv && /opt/shop-web/venv/bin/pip install --no-cache-dir --requirement /src/requirements.txt"
    network = true

    [[layer]]
    name = "application"
    copy = [
      { from = ".", to = "/opt/shop-web" },
    ]

    # Nothing in the project serves port 80, so nginx passes it on.
    [[layer]]
    name = "front"
    run = '''
    cat >/etc/nginx/sites-available/default <<'END'
    server {
        listen 80 default_server;
        access_log /dev/stdout;
        error_log stderr;
        client_max_body_size 32m;
        location / {
            proxy_pass http://127.0.0.1:8000;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
    END
    '''

    [users.shop-web]
    uid = 900
    home = "/data/shop-web"

    [data]
    directories = [
      { path = "/data/shop-web", owner = "shop-web", mode = "0750" },
    ]

    [settings.database-url]
    type = "url"
    secret = true
    description = "Database url."

    [settings.secret-key]
    type = "password"
    generate = true
    description = "Secret key; made at the first start when none is given."

    [settings.shop-debug-mail]
    type = "bool"
    default = "false"
    description = "Shop debug mail."

    # Procfile: a set-up that runs to its end.
    [service.release]
    command = ["/opt/shop-web/venv/bin/python", "manage.py", "migrate"]
    user = "shop-web"
    working-directory = "/opt/shop-web"
    environment = { PATH = "/opt/shop-web/venv/bin:/usr/local/bin:/usr/bin:/bin" }
    type = "oneshot"
    environment-settings = { DATABASE_URL = "database-url", SECRET_KEY = "secret-key", SHOP_DEBUG_MAIL = "shop-debug-mail" }

    # Procfile: gunicorn.
    [service.web]
    command = ["/opt/shop-web/venv/bin/gunicorn", "shop.wsgi", "--bind", "0.0.0.0:8000"]
    user = "shop-web"
    working-directory = "/opt/shop-web"
    environment = { PATH = "/opt/shop-web/venv/bin:/usr/local/bin:/usr/bin:/bin" }
    environment-settings = { DATABASE_URL = "database-url", SECRET_KEY = "secret-key", SHOP_DEBUG_MAIL = "shop-debug-mail" }
    after = ["release"]
    ready = { http = "http://127.0.0.1:8000/health/" }
    stop = { timeout = "3s" }

    # Procfile: a worker of Celery.
    [service.worker]
    command = ["/opt/shop-web/venv/bin/celery", "-A", "shop", "worker"]
    user = "shop-web"
    working-directory = "/opt/shop-web"
    environment = { PATH = "/opt/shop-web/venv/bin:/usr/local/bin:/usr/bin:/bin" }
    environment-settings = { DATABASE_URL = "database-url", SECRET_KEY = "secret-key", SHOP_DEBUG_MAIL = "shop-debug-mail" }
    after = ["release"]
    critical = false
    stop = { timeout = "3s" }

    # The front: nginx.
    [service.nginx]
    from = "systemd:nginx.service"
    front = { status-path = "/status" }
    after = ["web"]
    stop = { timeout = "1s" }

    found:
      `pyproject.toml`: name `shop-web`
      `pyproject.toml`: version `1.2.0`
      `Procfile`: service `release` (a set-up that runs to its end)
      `Procfile`: service `web` (gunicorn)
      `Procfile`: service `worker` (a worker of Celery)
      `requirements.txt`: requirements without hashes, for `/opt/shop-web/venv`
      `.env.example`: setting `database-url`
      `.env.example`: setting `secret-key`
      `.env.example`: setting `shop-debug-mail`
    to decide:
      `docker-compose.yml` is not read: its services (`db`) are images of others; what they do needs a package and a `[service]` here
    next:
      `cp .gitignore .casqueignore`: what version control leaves out should be in no step and no image
      read the manifest: names, descriptions and order are proposals
      `casque check`, then `casque lock`, then `casque build`
    "#);
}

#[test]
fn units_of_systemd_are_copied_with_what_they_run() {
    let files = [
        (
            "deploy/shop.service",
            "[Unit]\nAfter=network.target shop-setup.service\n[Service]\nType=exec\nUser=shop\nWorkingDirectory=/srv/shop\nEnvironmentFile=/etc/shop.env\nExecStart=/srv/shop/venv/bin/uvicorn shop:app --port 8080\n",
        ),
        (
            "deploy/shop-setup.service",
            "[Service]\nType=oneshot\nUser=shop\nWorkingDirectory=/srv/shop\nExecStart=/srv/shop/venv/bin/python -m shop.setup\n",
        ),
        ("deploy/shop.env.example", "A=b\n"),
        (
            "deploy/nginx.conf",
            "events {}\nhttp {\n  upstream shop { server 127.0.0.1:8080; }\n  server {\n    listen 8000;\n    location / { proxy_pass http://shop; }\n  }\n}\n",
        ),
        (
            "requirements.lock",
            "uvicorn==1.0 --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111\n",
        ),
        ("VERSION", "v2.0.1\n"),
    ];
    assert_snapshot!(proposed(&files), @r#"
    # Proposed by `casque init`. `casque check` says whether it holds together.

    [image]
    name = "vendor/shop"
    version = "2.0.1"
    expose = [8000]
    command = "shop"

    [base]
    distribution = "debian"
    suite = "bookworm"

    [[layer]]
    name = "packages"
    packages = ["nginx-light"]

    [[layer]]
    name = "libraries"
    packages = ["python3-venv"]
    python = { venv = "/srv/shop/venv", requirements = "requirements.lock" }

    [[layer]]
    name = "application"
    copy = [
      { from = ".", to = "/srv/shop" },
      { from = "deploy/shop-setup.service", to = "/etc/systemd/system/shop-setup.service" },
      { from = "deploy/shop.service", to = "/etc/systemd/system/shop.service" },
      { from = "deploy/shop.env.example", to = "/etc/shop.env" },
      { from = "deploy/nginx.conf", to = "/etc/nginx/nginx.conf" },
    ]

    [users.shop]
    uid = 900

    # deploy/shop-setup.service: a set-up that runs to its end.
    [service.shop-setup]
    from = "systemd:shop-setup.service"
    type = "oneshot"

    # deploy/shop.service: uvicorn.
    [service.shop]
    from = "systemd:shop.service"
    after = ["shop-setup"]
    ready = { tcp = "127.0.0.1:8080" }
    stop = { timeout = "3s" }

    # deploy/nginx.conf: nginx.
    [service.nginx]
    from = "systemd:nginx.service"
    front = { status-path = "/status" }
    after = ["shop"]
    stop = { timeout = "1s" }

    found:
      the directory's name: name `shop`
      `VERSION`: version `2.0.1`
      `deploy/shop-setup.service`: service `shop-setup` (a set-up that runs to its end)
      `deploy/shop.service`: service `shop` (uvicorn)
      `deploy/nginx.conf`: service `nginx` (nginx)
      `deploy/nginx.conf`: configuration of nginx
      `requirements.lock`: requirements with hashes, for `/srv/shop/venv`
    next:
      read the manifest: names, descriptions and order are proposals
      `casque check`, then `casque lock`, then `casque build`
    "#);
}

#[test]
fn programs_of_supervisor_bring_their_packages() {
    let files = [
        (
            "supervisor/redis.conf",
            "[program:redis]\ncommand=/usr/bin/redis-server --port 6380 --dir /data/redis\nuser=redis\ndirectory=/data/redis\n",
        ),
        (
            "supervisor/app.conf.j2",
            "{% if workers %}\n[program:app]\ncommand={{ home }}/bin/app --listen 9000\nuser=app\n[program:init]\ncommand=/opt/app/bin/init\nautorestart=false\nstartsecs=0\n{% endif %}\n",
        ),
        ("supervisor/broken.conf", "[program:x]\nuser=x\n"),
    ];
    assert_snapshot!(proposed(&files), @r#"
    # Proposed by `casque init`. `casque check` says whether it holds together.

    [image]
    name = "vendor/shop"
    version = "0.1.0"
    command = "shop"

    [base]
    distribution = "debian"
    suite = "bookworm"

    [[layer]]
    name = "packages"
    packages = ["redis-server"]

    [[layer]]
    name = "application"
    copy = [
      { from = ".", to = "/opt/shop" },
      { from = "supervisor/redis.conf", to = "/etc/supervisor/conf.d/redis.conf" },
    ]

    [users.app]
    uid = 900

    [data]
    directories = [
      { path = "/data/redis", owner = "redis", mode = "0750" },
    ]

    # supervisor/redis.conf: Redis.
    [service.redis]
    from = "supervisor:/etc/supervisor/conf.d/redis.conf"
    ready = { redis = "127.0.0.1:6380" }
    stop = { timeout = "3s" }

    # supervisor/app.conf.j2: a set-up that runs to its end.
    [service.init]
    from = "supervisor:/etc/supervisor/conf.d/app.conf#init"
    type = "oneshot"
    after = ["redis"]

    # supervisor/app.conf.j2: a program of the product.
    [service.app]
    from = "supervisor:/etc/supervisor/conf.d/app.conf#app"
    after = ["init"]
    stop = { timeout = "3s" }

    found:
      the directory's name: name `shop`
      `supervisor/redis.conf`: service `redis` (Redis)
      `supervisor/app.conf.j2`: service `init` (a set-up that runs to its end)
      `supervisor/app.conf.j2`: service `app` (a program of the product)
    to decide:
      nothing says the product's version; `0.1.0` stands in for it
      `supervisor/broken.conf` holds programs of supervisor and could not be read: `/etc/supervisor/conf.d/broken.conf#x` does not say what to run: it has no `command`
      nothing is known to answer requests, so no port is exposed: `[image] expose` and a `[service]` with `front` do that
      `supervisor/app.conf.j2` is a template, and nothing here renders it: the image needs `/etc/supervisor/conf.d/app.conf`, or `command` and `user` in place of `from`
    next:
      read the manifest: names, descriptions and order are proposals
      `casque check`, then `casque lock`, then `casque build`
    "#);
}

#[test]
fn the_example_s_own_manifest_is_what_is_proposed_for_it() {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/backend").canonicalize().unwrap();
    let proposal = propose(&example).unwrap();
    let proposed = Manifest::of_text(&example.join("casque.toml"), &proposal.manifest).unwrap();
    check(&proposed).unwrap();
    let known = Manifest::read(&example).unwrap();
    assert_eq!(proposed.reference(), known.reference());
    let step = |manifest: &Manifest| {
        let layer = &manifest.content.layer[0];
        (layer.run.clone(), layer.with_packages.clone(), layer.network)
    };
    assert_eq!(step(&proposed), step(&known));
    let settings = |manifest: &Manifest| {
        // HTTPS is the vendor's to decide.
        let of_https = casque_format::settings::of_https();
        let known = |name: &str| of_https.iter().any(|(other, _)| *other == name);
        let settings = manifest.settings().into_iter().filter(|(name, _)| !known(name));
        settings.map(|(name, one)| (name, one.kind, one.generate, one.default)).collect::<Vec<_>>()
    };
    assert_eq!(settings(&proposed), settings(&known));
    let services = |manifest: &Manifest| {
        let services = manifest.content.service.iter();
        let from = |from: &toml::Spanned<String>| from.get_ref().clone();
        services
            .map(|(name, rule)| {
                (name.clone(), rule.from.as_ref().map(from), rule.kind, format!("{:?}", rule.ready))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(services(&proposed), services(&known));
    let directories = |manifest: &Manifest| {
        let mut all: Vec<_> = manifest
            .content
            .data
            .directories
            .iter()
            .map(|one| (one.path.get_ref().clone(), one.owner.clone(), one.mode))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!(directories(&proposed), directories(&known));
}
