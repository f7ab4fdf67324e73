/*
 * command: the verbs that have a file of their own.
 *
 * Each gets the words behind the verb and returns the exit code: 0, EXIT_REFUSED (the
 * answer is an error, the file is bad ...), 2 for wrong usage, EXIT_UNREACHABLE.
 * The text of each is what `nodey help VERB` says below its first line.
 */
#pragma once

int command_up(int argc, char **argv);
int command_start(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_scale(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_down(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_top(int argc, char **argv);
int command_describe(int argc, char **argv);
int command_call(int argc, char **argv);
int command_ask(int argc, char **argv);
int command_repl(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_new(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_why(int argc, char **argv);
int command_run(int argc, char **argv);
int command_config(int argc, char **argv);
int command_env(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_init(int argc, char **argv);
int command_install(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_events(int argc, char **argv);
int command_jobs(int argc, char **argv);
int command_lag(int argc, char **argv);
int command_dead(int argc, char **argv);
int command_bus(int argc, char **argv);
int command_flow(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_record(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_test(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_man(int argc, char **argv);

/* What the scripts of `nodey completion` ask: `nodey __complete INDEX WORDS...`. */
#define COMPLETE_VERB "__complete"
int command_complete(int argc, char **argv);

extern const char command_up_help[];
extern const char command_start_help[];
extern const char command_stop_help[];
extern const char command_restart_help[];
extern const char command_scale_help[];
extern const char command_kill_help[];
extern const char command_down_help[];
extern const char command_ps_help[];
extern const char command_stats_help[];
extern const char command_top_help[];
extern const char command_describe_help[];
extern const char command_call_help[];
extern const char command_ask_help[];
extern const char command_repl_help[];
extern const char command_reload_help[];
extern const char command_new_help[];
extern const char command_logs_help[];
extern const char command_why_help[];
extern const char command_run_help[];
extern const char command_config_help[];
extern const char command_env_help[];
extern const char command_exec_help[];
extern const char command_init_help[];
extern const char command_install_help[];
extern const char command_publish_help[];
extern const char command_events_help[];
extern const char command_jobs_help[];
extern const char command_lag_help[];
extern const char command_dead_help[];
extern const char command_bus_help[];
extern const char command_flow_help[];
extern const char command_trace_help[];
extern const char command_record_help[];
extern const char command_replay_help[];
extern const char command_test_help[];
extern const char command_completion_help[];
extern const char command_man_help[];
