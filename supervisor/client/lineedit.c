#include "client/lineedit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { WIDTH_MIN = 20, WIDTH_USUAL = 80, LINE_MAX_BYTES = 1 << 20 };

/* What a key means; letters stand for themselves. */
enum key {
    KEY_END = -1, /* the input has ended */
    KEY_HOME = 1,
    KEY_LEFT = 2,
    KEY_INTERRUPT = 3,
    KEY_EOF = 4,
    KEY_LAST = 5,
    KEY_RIGHT = 6,
    KEY_RUBOUT = 8,
    KEY_ENTER = 10,
    KEY_KILL = 11,
    KEY_CLEAR = 12,
    KEY_NEXT = 14,
    KEY_PREVIOUS = 16,
    KEY_KILL_LEFT = 21,
    KEY_KILL_WORD = 23,
    KEY_ESCAPE = 27,
    KEY_DELETE = 256,
    KEY_NOTHING,
};

void lineedit_init(struct lineedit *e)
{
    const char *term = getenv("TERM");
    *e = (struct lineedit){0};
    e->is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
                     strcmp(term, "dumb") != 0;
}

void lineedit_deinit(struct lineedit *e)
{
    for (size_t i = 0; i < e->count; i++)
        xfree(e->history[i]);
    xfree(e->kept);
    buf_deinit(&e->line);
}

/* ----------------------------------------------------------------------- keys */

static int read_byte(void)
{
    unsigned char c;
    return read(STDIN_FILENO, &c, 1) == 1 ? c : KEY_END;
}

/* What terminals send for the keys around the letters: ESC [ A, ESC [ 3 ~, ESC O H. */
static int read_escape(void)
{
    int kind = read_byte();
    if (kind != '[' && kind != 'O')
        return KEY_NOTHING;
    int c = read_byte();
    int number = 0;
    while (c >= '0' && c <= ';') {
        number = c == ';' ? 0 : number * 10 + (c - '0');
        c = read_byte();
    }
    switch (c) {
    case 'A':
        return KEY_PREVIOUS;
    case 'B':
        return KEY_NEXT;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_LAST;
    case '~':
        return number == 3                  ? KEY_DELETE
               : number == 1 || number == 7 ? KEY_HOME
               : number == 4 || number == 8 ? KEY_LAST
                                            : KEY_NOTHING;
    default:
        return KEY_NOTHING;
    }
}

static int read_key(void)
{
    int c = read_byte();
    if (c == KEY_ESCAPE)
        return read_escape();
    if (c == 127)
        return KEY_RUBOUT;
    if (c == 0) /* Ctrl-D, typed ahead while the terminal still took whole lines */
        return KEY_EOF;
    return c == '\r' ? KEY_ENTER : c;
}

/* --------------------------------------------------------------------- picture */

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t columns(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += begins_character(text[i]);
    return n;
}

static size_t width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < WIDTH_MIN)
        return WIDTH_USUAL;
    return size.ws_col;
}

/* Of a line wider than the terminal the part around the cursor is shown. */
static void draw(const struct lineedit *e, const char *prompt)
{
    const char *text = e->line.ptr;
    size_t start = 0, len = e->line.len, taken = columns(prompt, strlen(prompt));
    size_t room = width() > taken + 1 ? width() - taken - 1 : 1;
    while (columns(text + start, e->cursor - start) > room)
        do
            start++;
        while (start < e->cursor && !begins_character(text[start]));
    while (columns(text + start, len - start) > room)
        len--;
    struct buf out = {0};
    buf_addf(&out, "\r%s", prompt);
    buf_append(&out, text + start, len - start);
    buf_addf(&out, "\x1b[K\r\x1b[%zuC", taken + columns(text + start, e->cursor - start));
    fwrite(out.ptr, 1, out.len, stdout);
    fflush(stdout);
    buf_deinit(&out);
}

/* --------------------------------------------------------------------- editing */

static size_t before(const struct lineedit *e, size_t at)
{
    while (at > 0 && !begins_character(e->line.ptr[--at]))
        continue;
    return at;
}

static size_t behind(const struct lineedit *e, size_t at)
{
    if (at < e->line.len)
        at++;
    while (at < e->line.len && !begins_character(e->line.ptr[at]))
        at++;
    return at;
}

static void erase(struct lineedit *e, size_t from, size_t to)
{
    memmove(e->line.ptr + from, e->line.ptr + to, e->line.len - to);
    e->line.len -= to - from;
    e->cursor = from;
}

static void insert(struct lineedit *e, char c)
{
    if (e->line.len >= LINE_MAX_BYTES)
        return;
    buf_addc(&e->line, c);
    memmove(e->line.ptr + e->cursor + 1, e->line.ptr + e->cursor, e->line.len - 1 - e->cursor);
    e->line.ptr[e->cursor++] = c;
}

static void set_line(struct lineedit *e, const char *text)
{
    buf_clear(&e->line);
    buf_adds(&e->line, text);
    e->cursor = e->line.len;
}

/* One step into the past, or back. */
static void browse(struct lineedit *e, bool back)
{
    if (back ? e->browsed == e->count : e->browsed == 0)
        return;
    if (e->browsed == 0) {
        xfree(e->kept);
        e->kept = xstrdup(buf_cstr(&e->line));
    }
    e->browsed += back ? 1 : -1;
    set_line(e, e->browsed ? e->history[e->count - e->browsed] : e->kept);
}

static size_t word_start(const struct lineedit *e)
{
    size_t at = e->cursor;
    while (at > 0 && e->line.ptr[at - 1] == ' ')
        at--;
    while (at > 0 && e->line.ptr[at - 1] != ' ')
        at--;
    return at;
}

static void erase_by(struct lineedit *e, int key)
{
    switch (key) {
    case KEY_RUBOUT:
        erase(e, before(e, e->cursor), e->cursor);
        break;
    case KEY_EOF:
    case KEY_DELETE:
        erase(e, e->cursor, behind(e, e->cursor));
        break;
    case KEY_KILL:
        erase(e, e->cursor, e->line.len);
        break;
    case KEY_KILL_LEFT:
        erase(e, 0, e->cursor);
        break;
    case KEY_KILL_WORD:
        erase(e, word_start(e), e->cursor);
        break;
    default:
        break;
    }
}

static void edit(struct lineedit *e, int key)
{
    switch (key) {
    case KEY_HOME:
        e->cursor = 0;
        break;
    case KEY_LAST:
        e->cursor = e->line.len;
        break;
    case KEY_LEFT:
        e->cursor = before(e, e->cursor);
        break;
    case KEY_RIGHT:
        e->cursor = behind(e, e->cursor);
        break;
    case KEY_PREVIOUS:
    case KEY_NEXT:
        browse(e, key == KEY_PREVIOUS);
        break;
    case KEY_CLEAR:
        fputs("\x1b[H\x1b[2J", stdout);
        break;
    default:
        if (key >= ' ' && key < KEY_DELETE)
            insert(e, (char)key);
        else
            erase_by(e, key);
    }
}

/* -------------------------------------------------------------------- reading */

static void remember(struct lineedit *e)
{
    const char *line = buf_cstr(&e->line);
    if (!*line || (e->count && strcmp(e->history[e->count - 1], line) == 0))
        return;
    if (e->count == LINEEDIT_HISTORY) {
        xfree(e->history[0]);
        memmove(e->history, e->history + 1, --e->count * sizeof(*e->history));
    }
    e->history[e->count++] = xstrdup(line);
}

static const char *read_edited(struct lineedit *e, const char *prompt)
{
    for (;;) {
        draw(e, prompt);
        int key = read_key();
        bool empty = e->line.len == 0;
        if (key == KEY_END || (empty && (key == KEY_EOF || key == KEY_INTERRUPT)))
            return NULL;
        if (key == KEY_ENTER) {
            remember(e);
            return buf_cstr(&e->line);
        }
        if (key == KEY_INTERRUPT) {
            fputs("^C\n", stdout);
            set_line(e, "");
            e->browsed = 0;
        }
        edit(e, key);
    }
}

static const char *read_plain(struct lineedit *e)
{
    int c;
    while ((c = getchar()) != EOF && c != '\n')
        if (e->line.len < LINE_MAX_BYTES)
            buf_addc(&e->line, (char)c);
    if (e->line.len && e->line.ptr[e->line.len - 1] == '\r')
        e->line.len--;
    return c == EOF && e->line.len == 0 ? NULL : buf_cstr(&e->line);
}

const char *lineedit_read(struct lineedit *e, const char *prompt)
{
    struct termios usual, raw;
    set_line(e, "");
    e->browsed = 0;
    if (!e->is_terminal || tcgetattr(STDIN_FILENO, &usual))
        return read_plain(e);
    raw = usual;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    const char *line = read_edited(e, prompt);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &usual);
    fputs("\n", stdout);
    fflush(stdout);
    return line;
}
