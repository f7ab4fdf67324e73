#include "import/image.h"

#define DATA "mkdir -p {data} && "

/*
 * Debian has several versions of it beside each other, and its own program is in no PATH.
 * The first start makes the folder and in it what the image would have made.
 */
#define POSTGRES                                                                               \
    "export PATH=\"$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH\" "          \
    "D={data}; "                                                                               \
    "umask 077; if [ ! -s \"$D/PG_VERSION\" ]; then mkdir -p \"$D\" && printf %s "             \
    "\"${POSTGRES_PASSWORD:-postgres}\" | initdb -D \"$D\" -U "                                \
    "\"${POSTGRES_USER:-postgres}\" -A scram-sha-256 --pwfile=/dev/stdin || exit 1; "          \
    "db=\"${POSTGRES_DB:-${POSTGRES_USER:-postgres}}\"; if [ \"$db\" != postgres ]; then "     \
    "echo \"CREATE DATABASE \\\"$db\\\";\" | postgres --single -D \"$D\" postgres "            \
    ">/dev/null || exit 1; fi; fi; "                                                           \
    "exec postgres -D \"$D\" -p {port} -k /tmp -h 127.0.0.1{args}"

#define MARIADB                                                                                \
    DATA "[ -d {data}/mysql ] || mariadb-install-db --datadir={data} >/dev/null; exec "        \
         "mariadbd "                                                                           \
         "--no-defaults --datadir=\"$PWD/{data}\" --port={port} --bind-address=127.0.0.1 "     \
         "--socket=\"$PWD/{data}/mysqld.sock\"{args}"

static const struct image images[] = {
    {"redis redis-stack-server", IMAGE_SERVER, 6379, "redis-server", "redis-server",
     DATA "exec redis-server --port {port} --bind 127.0.0.1 --dir {data}{args}", NULL, NULL},
    {"valkey", IMAGE_SERVER, 6379, "valkey-server", "valkey-server (Debian 13)",
     DATA "exec valkey-server --port {port} --bind 127.0.0.1 --dir {data}{args}", NULL, NULL},
    {"postgres postgresql postgis timescaledb", IMAGE_SERVER, 5432, "postgres", "postgresql",
     POSTGRES, "PGHOST=127.0.0.1 PGPORT={port}", "postgres"},
    {"mysql mariadb mysql-server", IMAGE_SERVER, 3306, "mysqld", "mariadb-server", MARIADB,
     "MYSQL_HOST=127.0.0.1 MYSQL_TCP_PORT={port}", "mysql"},
    {"mongo mongodb", IMAGE_SERVER, 27017, "mongod",
     "mongodb-org (from mongodb.org: Debian has none)",
     DATA "exec mongod --dbpath {data} --port {port} --bind_ip 127.0.0.1{args}", NULL, NULL},
    {"rabbitmq", IMAGE_SERVER, 5672, "rabbitmq-server", "rabbitmq-server",
     DATA "export RABBITMQ_NODE_PORT={port} RABBITMQ_MNESIA_BASE=\"$PWD/{data}\" "
          "RABBITMQ_LOG_BASE=\"$PWD/{data}\"; exec rabbitmq-server{args}",
     NULL, NULL},
    {"nats", IMAGE_SERVER, 4222, "nats-server", "nats-server",
     "exec nats-server -a 127.0.0.1 -p {port}{args}", NULL, NULL},
    {"memcached", IMAGE_SERVER, 11211, "memcached", "memcached",
     "exec memcached -l 127.0.0.1 -p {port} -u nobody{args}", NULL, NULL},
    {"eclipse-mosquitto mosquitto", IMAGE_SERVER, 1883, "mosquitto", "mosquitto",
     "exec mosquitto -p {port}{args}", NULL, NULL},
    {"beanstalkd", IMAGE_SERVER, 11300, "beanstalkd", "beanstalkd",
     "exec beanstalkd -l 127.0.0.1 -p {port}{args}", NULL, NULL},
    {"node", IMAGE_RUNTIME, 0, "node", "nodejs", NULL, NULL, NULL},
    {"python pypy uv", IMAGE_RUNTIME, 0, "python3", "python3", NULL, NULL, NULL},
    {"golang", IMAGE_RUNTIME, 0, "go", "golang", NULL, NULL, NULL},
    {"ruby", IMAGE_RUNTIME, 0, "ruby", "ruby", NULL, NULL, NULL},
    {"php", IMAGE_RUNTIME, 0, "php", "php-cli", NULL, NULL, NULL},
    {"openjdk eclipse-temurin amazoncorretto", IMAGE_RUNTIME, 0, "java", "default-jre", NULL,
     NULL, NULL},
    {"deno bun", IMAGE_RUNTIME, 0, "deno", "(Debian has none: see its own site)", NULL, NULL,
     NULL},
    {"rust", IMAGE_RUNTIME, 0, "cargo", "cargo", NULL, NULL, NULL},
    {"debian ubuntu alpine busybox bash", IMAGE_RUNTIME, 0, "sh", "bash", NULL, NULL, NULL},
    {"nginx nginx-unprivileged httpd caddy static-web-server", IMAGE_WEB, 80, "nginx", "", NULL,
     NULL, NULL},
    {"traefik", IMAGE_REPLACED, 0, "traefik",
     "nodey has the routes of traefik's labels, below, and balances by itself", NULL, NULL,
     NULL},
    {"haproxy nginx-proxy", IMAGE_REPLACED, 0, "haproxy",
     "nodey balances and routes by itself: see [[routes]]", NULL, NULL, NULL},
    {"netdata cadvisor", IMAGE_REPLACED, 0, "netdata",
     "nodey knows what every program uses: nodey ps, nodey stats, nodey top", NULL, NULL, NULL},
    {"watchtower", IMAGE_REPLACED, 0, "watchtower",
     "there are no images to pull: nodey reload, or nodey up --watch, serves what is new", NULL,
     NULL, NULL},
    {"autoheal docker-autoheal", IMAGE_REPLACED, 0, "autoheal",
     "nodey replaces what is unhealthy by itself", NULL, NULL, NULL},
    {"portainer portainer-ce dozzle docker-socket-proxy", IMAGE_REPLACED, 0, "portainer",
     "nodey ps, nodey logs, nodey start and stop do what it did", NULL, NULL, NULL},
};

const char *image_name(struct arena *a, const char *reference)
{
    struct slice name = {reference, strcspn(reference, "@")};
    const char *slash = memrchr(name.ptr, '/', name.len);
    if (slash)
        name = slice_from(name, (size_t)(slash - name.ptr) + 1);
    const char *colon = memchr(name.ptr, ':', name.len);
    if (colon)
        name.len = (size_t)(colon - name.ptr);
    return arena_strdup(a, name);
}

const struct image *image_find(const char *reference)
{
    struct arena a = {0};
    struct slice name = slice_of(image_name(&a, reference));
    const struct image *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(images) && !found; i++)
        for (const char *at = images[i].names; *at && !found;) {
            struct slice word = {at, strcspn(at, " ")};
            if (slice_eq_nocase(word, name))
                found = &images[i];
            at += word.len + (at[word.len] != '\0');
        }
    arena_deinit(&a);
    return found;
}

static void add_args(struct buf *out, const struct string_list *args)
{
    for (size_t i = 0; i < args->count; i++) {
        buf_addc(out, ' ');
        text_add_shell_word(out, slice_of(args->items[i]));
    }
}

struct slice image_line(struct arena *a, const char *line, const char *port, const char *data,
                        const struct string_list *args)
{
    struct buf out = {0};
    while (*line) {
        struct slice rest = slice_of(line);
        size_t len = 1;
        if (slice_starts(rest, SLICE("{port}"))) {
            buf_adds(&out, port);
            len = strlen("{port}");
        } else if (slice_starts(rest, SLICE("{data}"))) {
            buf_adds(&out, data);
            len = strlen("{data}");
        } else if (slice_starts(rest, SLICE("{args}"))) {
            add_args(&out, args);
            len = strlen("{args}");
        } else {
            buf_adds(&out, *line == '$' ? "$$" : (char[]){*line, '\0'});
        }
        line += len;
    }
    struct slice kept = {arena_strdup(a, buf_slice(&out)), out.len};
    buf_deinit(&out);
    return kept;
}
