/*
 * tree: jansson beside base/json.h, for tests that compare the two.
 *
 * Both have enumerators named JSON_OBJECT and so on; jansson's are TREE_OBJECT here.  Its
 * json_is_object() family would compare with the wrong ones: use tree_is().
 */
#pragma once

#define JSON_OBJECT  TREE_OBJECT
#define JSON_ARRAY   TREE_ARRAY
#define JSON_STRING  TREE_STRING
#define JSON_INTEGER TREE_INTEGER
#define JSON_REAL    TREE_REAL
#define JSON_TRUE    TREE_TRUE
#define JSON_FALSE   TREE_FALSE
#define JSON_NULL    TREE_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include <stdbool.h>

static inline bool tree_is(const json_t *node, json_type type)
{
    return node && json_typeof(node) == type;
}
