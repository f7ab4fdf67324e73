/*
 * load: an HTTP/1.1 load generator for what wrk cannot do.
 *
 * Closed loop: every connection asks again as soon as it was answered.  Open loop
 * (-r): requests fall due at a fixed rate whether or not earlier ones were answered,
 * and latency counts from the moment a request was due, so that a server cannot hide
 * a stall by delaying the questions.  Every Nth request may go to a second path (-s,
 * -e) and is counted apart.  Idle mode (-i) asks once on each connection, then holds
 * all of them open until its stdin ends.
 *
 * One thread, epoll, no allocation.  Prints one line of JSON, in idle mode a second
 * one when stdin has ended.  Answers need a Content-Length or end with the connection;
 * chunked ones count as errors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CONNS = 20000,
    MAX_PENDING = 128, /* connections being opened at once: below any listen backlog */
    MAX_ERRORS = 1000, /* in a row: the server is gone */
    OPEN_SECONDS = 60, /* until every connection must be open */
    HEAD_BYTES = 2048,
    SUB_BITS = 7, /* 128 steps per power of two keep values to within 0.8 % */
    SUB_COUNT = 1 << SUB_BITS,
    HIST_SLOTS = 64 * SUB_COUNT,
};

#define NS_PER_SECOND UINT64_C(1000000000)

/* Latencies in nanoseconds, counted in slots of equal relative width. */
struct hist {
    uint64_t slots[HIST_SLOTS];
    uint64_t count;
    uint64_t max;
};

/* One kind of request and what became of it. */
struct target {
    char request[512];
    size_t request_len;
    struct hist hist;
    uint64_t non_200;
};

/* OPENING -> IDLE <-> BUSY; any of them -> OPENING when the connection ends. */
enum conn_state { CONN_CLOSED, CONN_OPENING, CONN_IDLE, CONN_BUSY };

struct conn {
    int fd;
    enum conn_state state;
    bool asked; /* at least once since it was opened */
    bool head_done;
    bool close_after;
    struct target *target;
    uint64_t due_at_ns;
    uint64_t body_left; /* UINT64_MAX: the body ends with the connection */
    size_t head_len;
    char head[HEAD_BYTES + 1];
};

struct load {
    struct sockaddr_in address;
    struct target fast, slow;
    uint64_t slow_every; /* 0: there is no slow target */
    uint64_t rate;       /* per second; 0: closed loop */
    uint64_t limit;      /* requests; 0: none */
    double seconds;
    bool idle_mode;
    unsigned conn_count;

    int epoll;
    bool running; /* every connection was open: requests are sent and counted */
    unsigned opened, states[CONN_BUSY + 1];
    uint64_t sent, done, errors, errors_in_row;
    uint64_t start_at_ns, stop_at_ns;
    struct conn conns[MAX_CONNS];
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "load: %s: %s\n", what, detail);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static size_t hist_slot(uint64_t value)
{
    if (value < SUB_COUNT)
        return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (size_t)(shift + 1) * SUB_COUNT + (size_t)((value >> shift) - SUB_COUNT);
}

/* The middle of a slot's range: the inverse of hist_slot(). */
static uint64_t hist_value(size_t slot)
{
    if (slot < SUB_COUNT)
        return slot;
    unsigned shift = (unsigned)(slot / SUB_COUNT) - 1;
    return ((SUB_COUNT + slot % SUB_COUNT) << shift) + ((UINT64_C(1) << shift) >> 1);
}

static void hist_add(struct hist *hist, uint64_t value)
{
    hist->slots[hist_slot(value)]++;
    hist->count++;
    if (value > hist->max)
        hist->max = value;
}

static double hist_percentile_us(const struct hist *hist, double percent)
{
    uint64_t rank = (uint64_t)((double)hist->count * percent / 100.0);
    uint64_t seen = 0;
    for (size_t slot = 0; slot < HIST_SLOTS; slot++) {
        seen += hist->slots[slot];
        if (seen > rank && hist_value(slot) < hist->max)
            return (double)hist_value(slot) / 1e3;
    }
    return (double)hist->max / 1e3;
}

static void target_init(struct target *target, const char *host, const char *path)
{
    int len = snprintf(target->request, sizeof(target->request),
                       "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    if (len >= (int)sizeof(target->request))
        die("path too long", path);
    target->request_len = (size_t)len;
}

static void conn_set_state(struct load *load, struct conn *conn, enum conn_state state)
{
    load->states[conn->state]--;
    load->states[state]++;
    conn->state = state;
}

static void conn_watch(struct load *load, struct conn *conn, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(load->epoll, op, conn->fd, &event) < 0)
        die("epoll_ctl", strerror(errno));
}

static void conn_open(struct load *load, struct conn *conn)
{
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die("socket", strerror(errno));
    conn->asked = false;
    conn_set_state(load, conn, CONN_OPENING);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(conn->fd, (struct sockaddr *)&load->address, sizeof(load->address)) < 0 &&
        errno != EINPROGRESS)
        die("connect", strerror(errno));
    conn_watch(load, conn, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_reopen(struct load *load, struct conn *conn)
{
    close(conn->fd);
    conn_open(load, conn);
}

static void conn_fail(struct load *load, struct conn *conn)
{
    load->errors++;
    if (++load->errors_in_row > MAX_ERRORS)
        die("giving up", "too many errors in a row");
    conn_reopen(load, conn);
}

static void conn_ask(struct load *load, struct conn *conn, uint64_t due_at_ns)
{
    uint64_t nth = ++load->sent;
    bool slow = load->slow_every && nth % load->slow_every == 0;
    conn->target = slow ? &load->slow : &load->fast;
    conn->due_at_ns = due_at_ns;
    conn->asked = true;
    conn->head_done = false;
    conn->head_len = 0;
    conn_set_state(load, conn, CONN_BUSY);
    size_t len = conn->target->request_len;
    if (send(conn->fd, conn->target->request, len, MSG_NOSIGNAL) != (ssize_t)len)
        conn_fail(load, conn);
}

/* The connection is open and unused: the closed loops use it at once. */
static void conn_rest(struct load *load, struct conn *conn)
{
    conn_set_state(load, conn, CONN_IDLE);
    bool ask = load->idle_mode ? !conn->asked : load->running && !load->rate;
    if (ask && !(load->limit && load->sent >= load->limit))
        conn_ask(load, conn, now_ns());
}

static void conn_answered(struct load *load, struct conn *conn)
{
    load->done++;
    load->errors_in_row = 0;
    hist_add(&conn->target->hist, now_ns() - conn->due_at_ns);
    if (conn->close_after)
        conn_reopen(load, conn);
    else
        conn_rest(load, conn);
}

static void conn_body(struct load *load, struct conn *conn, size_t len)
{
    if (conn->body_left == UINT64_MAX)
        return;
    if (len > conn->body_left)
        conn_fail(load, conn);
    else if ((conn->body_left -= len) == 0)
        conn_answered(load, conn);
}

/* The value of a field in a head that ends with NUL, or NULL. */
static const char *head_field(const char *head, const char *name_with_colon)
{
    const char *line = head;
    while ((line = strcasestr(line, name_with_colon)) != NULL) {
        if (line[-1] == '\n')
            return line + strlen(name_with_colon) + strspn(line + strlen(name_with_colon), " ");
        line++;
    }
    return NULL;
}

static void conn_head(struct load *load, struct conn *conn, size_t len)
{
    conn->head_len += len;
    conn->head[conn->head_len] = '\0';
    char *end = strstr(conn->head, "\r\n\r\n");
    int minor, status;
    if (!end && conn->head_len < HEAD_BYTES)
        return;
    if (!end || sscanf(conn->head, "HTTP/1.%d %d", &minor, &status) != 2) {
        conn_fail(load, conn);
        return;
    }
    end[2] = '\0'; /* the fields without the body */
    const char *length = head_field(conn->head, "content-length:");
    const char *connection = head_field(conn->head, "connection:");
    if (head_field(conn->head, "transfer-encoding:")) {
        conn_fail(load, conn);
        return;
    }
    conn->head_done = true;
    conn->close_after =
        minor == 0 || !length || (connection && strncasecmp(connection, "close", 5) == 0);
    conn->body_left = length ? strtoull(length, NULL, 10) : UINT64_MAX;
    conn->target->non_200 += status != 200;
    conn_body(load, conn, conn->head_len - (size_t)(end + 4 - conn->head));
}

static void conn_read(struct load *load, struct conn *conn)
{
    static char scratch[65536]; /* bodies are counted, not kept */
    bool body = conn->state == CONN_BUSY && conn->head_done;
    ssize_t len =
        body ? recv(conn->fd, scratch, sizeof(scratch), 0)
             : recv(conn->fd, conn->head + conn->head_len, HEAD_BYTES - conn->head_len, 0);
    if (len < 0 && errno == EAGAIN)
        return;
    if (len == 0 && body && conn->body_left == UINT64_MAX)
        conn_answered(load, conn);
    else if (len <= 0 || conn->state != CONN_BUSY)
        conn_fail(load, conn);
    else if (body)
        conn_body(load, conn, (size_t)len);
    else
        conn_head(load, conn, (size_t)len);
}

static void conn_event(struct load *load, struct conn *conn, uint32_t events)
{
    if (conn->state != CONN_OPENING) {
        conn_read(load, conn);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        conn_fail(load, conn);
    } else {
        conn_watch(load, conn, EPOLL_CTL_MOD, EPOLLIN);
        conn_rest(load, conn);
    }
}

static void load_open_more(struct load *load)
{
    unsigned *states = load->states;
    while (load->opened < load->conn_count &&
           states[CONN_OPENING] + states[CONN_BUSY] < MAX_PENDING)
        conn_open(load, &load->conns[load->opened++]);
}

static void load_start(struct load *load)
{
    load->running = true;
    load->start_at_ns = now_ns();
    load->stop_at_ns = load->start_at_ns + (uint64_t)(load->seconds * 1e9);
    for (unsigned i = 0; i < load->conn_count; i++)
        if (load->conns[i].state == CONN_IDLE)
            conn_rest(load, &load->conns[i]);
}

/* When the next request of an open loop falls due. */
static uint64_t load_due_ns(const struct load *load)
{
    return load->start_at_ns + load->sent * NS_PER_SECOND / load->rate;
}

/* Open loop: sends what is due, as far as connections are free. */
static void load_send_due(struct load *load)
{
    for (unsigned i = 0; i < load->conn_count && load_due_ns(load) <= now_ns(); i++)
        if (load->conns[i].state == CONN_IDLE)
            conn_ask(load, &load->conns[i], load_due_ns(load));
}

static void load_poll(struct load *load)
{
    struct epoll_event events[256];
    uint64_t now = now_ns(), until = load->stop_at_ns;
    if (load->running && load->rate && load->states[CONN_IDLE] > 0 && load_due_ns(load) < until)
        until = load_due_ns(load);
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(wait / NS_PER_SECOND), (long)(wait % NS_PER_SECOND)};
    int count = epoll_pwait2(load->epoll, events, 256, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll_pwait2", strerror(errno));
    for (int i = 0; i < count; i++)
        conn_event(load, events[i].data.ptr, events[i].events);
}

/* Every connection is open; in idle mode, each was answered too. */
static bool load_settled(const struct load *load)
{
    return load->opened == load->conn_count && load->states[CONN_OPENING] == 0 &&
           load->states[CONN_BUSY] == 0;
}

static void load_run(struct load *load)
{
    load->start_at_ns = now_ns();
    load->stop_at_ns = load->start_at_ns + OPEN_SECONDS * NS_PER_SECOND;
    while (!load_settled(load)) {
        if (now_ns() > load->stop_at_ns)
            die("giving up", "the connections could not be opened in time");
        load_open_more(load);
        load_poll(load);
    }
    if (load->idle_mode)
        return;
    load_start(load);
    while (now_ns() < load->stop_at_ns && !(load->limit && load->done >= load->limit)) {
        if (load->rate)
            load_send_due(load);
        load_poll(load);
    }
}

static void target_print(const char *name, const struct target *target)
{
    const struct hist *hist = &target->hist;
    printf(", \"%s\": {\"requests\": %" PRIu64 ", \"non_200\": %" PRIu64, name, hist->count,
           target->non_200);
    printf(", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}",
           hist_percentile_us(hist, 50), hist_percentile_us(hist, 90),
           hist_percentile_us(hist, 99), (double)hist->max / 1e3);
}

static void load_print(const struct load *load)
{
    double seconds = (double)(now_ns() - load->start_at_ns) / 1e9;
    printf("{\"seconds\": %.3f, \"requests\": %" PRIu64 ", \"errors\": %" PRIu64, seconds,
           load->done, load->errors);
    printf(", \"rate\": %.1f", (double)load->done / seconds);
    target_print("fast", &load->fast);
    if (load->slow_every)
        target_print("slow", &load->slow);
    printf("}\n");
    fflush(stdout);
}

/* Waits for the end of stdin, then says how many connections the server kept. */
static void load_hold(struct load *load)
{
    char byte;
    unsigned alive = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    for (unsigned i = 0; i < load->conn_count; i++)
        if (recv(load->conns[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
            alive++;
    printf("{\"alive\": %u}\n", alive);
}

static void load_configure(struct load *load, int argc, char **argv)
{
    const char *slow_path = NULL;
    int option;
    while ((option = getopt(argc, argv, "c:d:n:r:s:e:i")) != -1) {
        if (option == 'c')
            load->conn_count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'd')
            load->seconds = strtod(optarg, NULL);
        else if (option == 'n')
            load->limit = strtoull(optarg, NULL, 10);
        else if (option == 'r')
            load->rate = strtoull(optarg, NULL, 10);
        else if (option == 's')
            slow_path = optarg;
        else if (option == 'e')
            load->slow_every = strtoull(optarg, NULL, 10);
        else if (option == 'i')
            load->idle_mode = true;
        else
            exit(2);
    }
    char *colon = argc - optind == 2 ? strchr(argv[optind], ':') : NULL;
    if (!colon || load->conn_count - 1 >= MAX_CONNS || !slow_path != !load->slow_every)
        die("usage", "load [-c conns] [-d seconds] [-n requests] [-r per-second]"
                     " [-s slow-path -e every] [-i] IPV4:PORT PATH");
    target_init(&load->fast, argv[optind], argv[optind + 1]);
    if (slow_path)
        target_init(&load->slow, argv[optind], slow_path);
    *colon = '\0';
    load->address.sin_family = AF_INET;
    load->address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, argv[optind], &load->address.sin_addr) != 1)
        die("not an IPv4 address", argv[optind]);
}

int main(int argc, char **argv)
{
    static struct load load = {.conn_count = 1, .seconds = 3};
    load_configure(&load, argc, argv);
    load.states[CONN_CLOSED] = load.conn_count;
    prctl(PR_SET_TIMERSLACK, 1UL); /* the default of 50 us would show in open loops */
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0)
        die("epoll_create1", strerror(errno));
    load_run(&load);
    load_print(&load);
    if (load.idle_mode)
        load_hold(&load);
    return 0;
}
