/* commands.h: what `mnemo` can do, a file each. argv[0] is the command's name.
 * A command that fails says why in err; with an empty message another rank has said it already. */
#pragma once

#include "common/error.h"

mn_status mn_train_command(int argc, char **argv, mn_error *err);
mn_status mn_sweep_command(int argc, char **argv, mn_error *err);
mn_status mn_evaluate_command(int argc, char **argv, mn_error *err);
mn_status mn_task_command(int argc, char **argv, mn_error *err);
mn_status mn_ask_command(int argc, char **argv, mn_error *err);
mn_status mn_adapt_command(int argc, char **argv, mn_error *err);
mn_status mn_predict_command(int argc, char **argv, mn_error *err);
mn_status mn_verify_command(int argc, char **argv, mn_error *err);
mn_status mn_export_command(int argc, char **argv, mn_error *err);
mn_status mn_status_command(int argc, char **argv, mn_error *err);
mn_status mn_top_command(int argc, char **argv, mn_error *err);
mn_status mn_explain_command(int argc, char **argv, mn_error *err);
mn_status mn_self_test_command(int argc, char **argv, mn_error *err);
mn_status mn_complete_command(int argc, char **argv, mn_error *err);
mn_status mn_report_command(int argc, char **argv, mn_error *err);
mn_status mn_data_command(int argc, char **argv, mn_error *err);
mn_status mn_bench_command(int argc, char **argv, mn_error *err);
mn_status mn_keys_command(int argc, char **argv, mn_error *err);
mn_status mn_plugin_command(int argc, char **argv, mn_error *err);
