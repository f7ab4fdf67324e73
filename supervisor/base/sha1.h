/*
 * sha1: the digest that a WebSocket's handshake is made of (RFC 3174).
 *
 * It proves that the other side speaks the protocol, and nothing else: SHA-1 is no longer
 * safe against those who would forge.
 */
#pragma once

#include "base/slice.h"

enum { SHA1_BYTES = 20 };

void sha1_digest(struct slice bytes, unsigned char digest[SHA1_BYTES]);
