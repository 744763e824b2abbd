# The vendor's download host, as far as a customer sees it: a file behind a password. Source it after wait.sh.
# shellcheck shell=bash

# Serves a file with nginx: download_serve DIRECTORY FILE PATH USER PASSWORD. Sets DOWNLOAD_URL.
download_serve() {
    local home=$1 file=$2 path=$3 user=$4 password=$5 port
    port=$(free_port)
    mkdir -p "$home/www/$(dirname "$path")"
    ln -s "$(realpath "$file")" "$home/www/$path"
    printf '%s:%s\n' "$user" "$(openssl passwd -6 -stdin <<<"$password")" >"$home/passwords"
    cat >"$home/nginx.conf" <<TEXT
pid $home/nginx.pid;
error_log $home/error.log;
$(if [[ $EUID -eq 0 ]]; then echo "user root;"; fi)
worker_processes 1;
events {}
http {
    access_log $home/access.log;
    sendfile on;
    client_body_temp_path $home/tmp-body;
    proxy_temp_path $home/tmp-proxy;
    fastcgi_temp_path $home/tmp-fastcgi;
    uwsgi_temp_path $home/tmp-uwsgi;
    scgi_temp_path $home/tmp-scgi;
    server {
        listen 127.0.0.1:$port;
        root $home/www;
        auth_basic "downloads";
        auth_basic_user_file $home/passwords;
    }
}
TEXT
    # Without a temporary directory of its own nginx would need root's; -e keeps its first words out of /var/log too.
    nginx -p "$home" -e "$home/error.log" -c "$home/nginx.conf" -g 'daemon off;' &
    local job=$!
    at_exit "end_process $job"
    DOWNLOAD_URL=http://127.0.0.1:$port/$path
    wait_for 10 "nginx serves the download" download_answers "$job" "$home"
}

download_answers() {
    if process_is_gone "$1"; then
        cat "$2/error.log" >&2
        die "cannot serve the download: nginx ended; its words are above"
    fi
    [[ "$(curl -s -o /dev/null -w '%{http_code}' "$DOWNLOAD_URL")" == 401 ]]
}
