# What the demo calls its things, and which engine it uses. Source it after wait.sh.
# shellcheck shell=bash disable=SC2034

NAME=casque-demo
# Without an engine: the container's data.
DATA=$PWD/dist/demo-data

# Prints docker where a Docker engine answers, otherwise none.
demo_engine() {
    if docker version >/dev/null 2>&1; then echo docker; else echo none; fi
}
