/*
 * orphans: what children leave behind.
 *
 * This process asks the kernel to be the one that orphaned descendants fall to.
 * When a child ends, whatever it had started and left is ended as well; whatever
 * belongs to a child that lives (it carries that child's NODEY_LIFE mark) is left
 * alone; and all of them are reaped, also when nodey is process 1 of a container.
 */
#pragma once

struct loop;

/* Call once, before the first child.  Without kernel support it does nothing. */
void orphans_adopt(struct loop *);

/* Ends those that no living child answers for, now and until none is left. */
void orphans_sweep(struct loop *);

/* Stops watching; before loop_deinit(). */
void orphans_release(struct loop *);
