/*
 * session: the nodey that a command speaks to.
 *
 * That is the one that is up for this configuration, which answers at the socket in its
 * data folder; or else one of its own, without a port, that runs the programs for this
 * one command and ends with it, even when the command is killed.
 */
#pragma once

#include <sys/types.h>

#include "http/client.h"

/* Exit codes that all commands share, beside 0 and 2 for wrong usage. */
enum { EXIT_REFUSED = 1, EXIT_UNREACHABLE = 3 };

/* The code of session_open() when none is up, and none could be or was to be started. */
enum { SESSION_NONE = -2 };

/* The hidden verb of a private run: `nodey __private SOCKET [-f FILE]`. */
#define PRIVATE_VERB "__private"

/* That of a run for stories: `nodey __story SOCKET DIR FILE NAME...`; FILE may be "". */
#define STORY_VERB "__story"

struct session {
    char *address; /* of its control socket, for client_fetch() */
    char *socket;  /* a private run's: its file */
    char *log;     /* where a run for stories writes what it says; else NULL */
    pid_t child;   /* a private run, else 0 */
};

/*
 * Opens a session for the configuration `file` (NULL as in config_load()).  With
 * `may_start` a private run is started when none is up.  0, or -1 with a sentence; close
 * it in the first case only.
 */
int session_open(struct session *, const char *file, bool may_start, struct err *) MUST_CHECK;

/*
 * A private run for stories: of these programs (NULL-terminated), with a bus of its own in the
 * folder `dir`, which exists; what it logs is in dir/log.  0, or -1 with a sentence.
 */
int session_open_story(struct session *, const char *dir, const char *file,
                       const char *const *names, struct err *) MUST_CHECK;

/* Of a private run: ends it, and waits for its end.  The session may be zeroed. */
void session_close(struct session *);

/* What is waited for in a private run, whose programs are just starting; others are up. */
struct session_goal {
    const char *worker; /* is ready, or fails: then -1 with the reason */
    const char *token;  /* is answered by somebody; or everybody has settled */
};                      /* neither: everybody has settled */

int session_wait(struct session *, const struct session_goal *, struct err *) MUST_CHECK;

/* As client_fetch(), at the session's address. */
int session_fetch(struct session *, struct client_request *, struct client_response *,
                  struct err *) MUST_CHECK;
