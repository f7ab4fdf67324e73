/*
 * topic: see base/topic.h, where configuration and protocol find it, too; it is implemented
 * there.
 */
#pragma once

#include "base/topic.h"
