#include "client/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/show.h"
#include "client/table.h"

enum { ROWS_USUAL = 24, ESCAPE = 27, END_OF_INPUT = 4 };

static void held_signals(sigset_t *set)
{
    static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        sigaddset(set, held[i]);
}

int screen_open(struct screen *s, bool full)
{
    sigset_t set;
    *s = (struct screen){.full = full, .signals = -1};
    held_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        return -1;
    s->keys = full && tcgetattr(STDIN_FILENO, &s->before) == 0;
    if (s->keys) {
        struct termios raw = s->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        s->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    if (full)
        show_write(stdout, SLICE("\x1b[?1049h\x1b[?25l\x1b[?7l"));
    return 0;
}

void screen_close(struct screen *s)
{
    sigset_t set;
    if (s->signals < 0)
        return;
    if (s->full)
        show_write(stdout, SLICE("\x1b[?7h\x1b[?25h\x1b[?1049l"));
    if (s->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    close(s->signals);
    s->signals = -1;
    held_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

size_t screen_rows(const struct screen *s)
{
    struct winsize size;
    (void)s;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row
                                                                       : ROWS_USUAL;
}

size_t screen_columns(const struct screen *s)
{
    (void)s;
    return table_terminal(STDOUT_FILENO);
}

void screen_paint(struct screen *s, struct slice lines)
{
    struct buf out = {0};
    size_t rows = screen_rows(s), row = 0;
    if (s->full)
        buf_adds(&out, "\x1b[H");
    else if (s->painted)
        buf_addf(&out, "\x1b[%zuA\r", s->painted);
    while (lines.len && row + 1 < rows) {
        const char *lf = memchr(lines.ptr, '\n', lines.len);
        struct slice line = {lines.ptr, lf ? (size_t)(lf - lines.ptr) : lines.len};
        lines = slice_from(lines, MIN(line.len + 1, lines.len));
        buf_add(&out, line);
        buf_adds(&out, "\x1b[K\n");
        row++;
    }
    buf_adds(&out, "\x1b[J"); /* what was below */
    s->painted = row;
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
}

/* Keys come one by one; of those that send several bytes only that they were pressed. */
static int read_key(void)
{
    unsigned char bytes[16];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n <= 0)
        return SCREEN_LEAVE;
    if (bytes[0] == END_OF_INPUT)
        return SCREEN_LEAVE;
    return n > 1 && bytes[0] == ESCAPE ? SCREEN_RESIZED : bytes[0];
}

static int read_signal(struct screen *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return SCREEN_NOTHING;
    return info.ssi_signo == SIGWINCH ? SCREEN_RESIZED : SCREEN_LEAVE;
}

int screen_wait(struct screen *s, int timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = STDOUT_FILENO, .events = 0}, /* its reader has gone */
        {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN},
    };
    int n = poll(fds, ARRAY_LEN(fds), timeout_ms);
    if (n < 0)
        return errno == EINTR ? SCREEN_NOTHING : SCREEN_LEAVE;
    if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL))
        return SCREEN_LEAVE;
    if (fds[0].revents & POLLIN)
        return read_signal(s);
    return fds[2].revents ? read_key() : SCREEN_NOTHING;
}
