"""Topics of `swf help`: the reference that the README links to. Plain text for a terminal of 80 columns."""

from typing import Final

SUMMARIES: Final = {
    "exit-codes": "What each exit code means.",
    "environment": "The environment variables that are read and set.",
    "iam": "The IAM permissions that each command needs.",
    "scripting": "Output formats, and what scripts and workers read and write.",
    "stuck": "Why a task looks stuck, and what to do.",
    "glossary": "SWF's terms, and their names here.",
}
"""Each topic's one-line summary."""

TEXTS: Final = {
    "exit-codes": """\
  0    done
  1    refused by SWF or the network, for a reason not below; or the output
       could not be written
  2    wrong usage or bad input; nothing was sent
  3    no task was received within --timeout
  4    cancellation of this task was requested
  5    the task is not open: it was closed, it timed out, or SWF does not know
       the token
  6    outcome unknown: the request was sent, the response was lost, and the
       execution history could not tell
  7    no region, no credentials, expired credentials, or not permitted
  8    a check failed (--max, --check)
  129  ended by SIGHUP
  130  ended by SIGINT (Ctrl-C)
  143  ended by SIGTERM

An error is one line on stderr that begins with `swf:`, and if something can be
done about it, a second one that begins with `hint:`. Add --debug for a
traceback. `swf local run` exits with the exit code of its command.
""",
    "environment": """\
Options win over variables. An empty variable counts as unset.

Read in place of an option:
  SWF_DOMAIN            --domain
  SWF_TASK_LIST         --task-list (one list)
  SWF_TASK_TOKEN        --token
  SWF_IDENTITY          --identity
  SWF_OUTPUT            --output

AWS: as in the AWS CLI, with its variables and the files ~/.aws/config and
~/.aws/credentials. Among others:
  AWS_PROFILE           --profile
  AWS_REGION            --region; then AWS_DEFAULT_REGION, then the profile's
  AWS_ENDPOINT_URL_SWF  --endpoint-url; then AWS_ENDPOINT_URL
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
  AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE
  AWS_WEB_IDENTITY_TOKEN_FILE
  AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, AWS_CONTAINER_CREDENTIALS_FULL_URI
  AWS_CONTAINER_AUTHORIZATION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE
  AWS_CA_BUNDLE         PEM file of the CA certificates to trust; then
                        the profile's ca_bundle, then REQUESTS_CA_BUNDLE
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
A profile's `output` is ignored. Credentials that change are picked up by
commands that are running.

The record of held tasks:
  SWF_STATE_DIR         the record's folder; default: $XDG_STATE_HOME/swf, else
                        ~/.local/state/swf
  SWF_LEDGER            `off` disables it
The record holds task tokens, and neither inputs nor results. It is used only if
its folder and files belong to you and nobody else can write to them.

Output:
  NO_COLOR              no colour, unless --color says otherwise

`swf work`, from systemd: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. The
worker's commands do not inherit these. Its temporary files are in TMPDIR.

Set by `swf poll --eval` in the shell, and by `swf work` for its command:
  SWF_TASK_TOKEN        the task's token
  SWF_TASK_ID           the task's activity ID
  SWF_ACTIVITY_NAME, SWF_ACTIVITY_VERSION
  SWF_WORKFLOW_ID, SWF_RUN_ID
  SWF_TASK_INPUT        the task's input; --eval only, and not exported
  SWF_DOMAIN, SWF_TASK_LIST, SWF_RESULT_FILE, SWF_REASON_FILE,
  SWF_HEARTBEAT_FILE    `swf work` only; see `swf help scripting`
A handler of `swf work --stream` is not given these; it reads its tasks from
stdin. Both inherit the rest of the worker's environment, AWS credentials
included.
""",
    "iam": """\
The least that an IAM policy must allow, on the resource
arn:aws:swf:REGION:ACCOUNT:/domain/DOMAIN:

  poll       swf:PollForActivityTask
  heartbeat  swf:RecordActivityTaskHeartbeat
             swf:GetWorkflowExecutionHistory      to say how a closed task ended
  complete   swf:RespondActivityTaskCompleted
             swf:GetWorkflowExecutionHistory      if a response was lost, and to
                                                  say how a closed task ended
  fail       swf:RespondActivityTaskFailed
             swf:GetWorkflowExecutionHistory      if a response was lost, and to
                                                  say how a closed task ended
  cancel     swf:RespondActivityTaskCanceled
             swf:GetWorkflowExecutionHistory      if a response was lost, and to
                                                  say how a closed task ended
             swf:RecordActivityTaskHeartbeat      to explain a rejection
  work       swf:PollForActivityTask
             swf:RespondActivityTaskCompleted
             swf:RespondActivityTaskFailed
             swf:RespondActivityTaskCanceled
             swf:RecordActivityTaskHeartbeat
             swf:GetWorkflowExecutionHistory      heartbeat timeouts, and lost
                                                  responses
             swf:DescribeActivityType             if the history cannot be
                                                  read; with neither, 60 s is
                                                  assumed
  stuck      swf:ListOpenWorkflowExecutions
             swf:GetWorkflowExecutionHistory
             swf:DescribeWorkflowExecution        for long histories
             swf:ListClosedWorkflowExecutions     to look for workers of lists
                                                  on which tasks wait
             swf:CountOpenWorkflowExecutions      for the progress bar
  tasks      swf:GetWorkflowExecutionHistory
             swf:DescribeWorkflowExecution        for long histories
             swf:ListOpenWorkflowExecutions       without --run-id
             swf:ListClosedWorkflowExecutions     with --workflow-id alone
             swf:CountOpenWorkflowExecutions      for the progress bar
  pending    swf:CountPendingActivityTasks
  held       nothing; with --prune:
             swf:GetWorkflowExecutionHistory
  completion nothing; to complete --domain, on the resource *:
             swf:ListDomains
  local      nothing: no AWS account is used
  help       nothing

`swf` never closes a workflow. Where only that helps, `swf stuck` shows an
`aws` command, which needs swf:TerminateWorkflowExecution.
""",
    "scripting": """\
Output
  Data goes to stdout, messages to stderr. Without --output, data is a table on
  a terminal and JSON elsewhere. A JSON array that does not go to a terminal has
  one element per line; `swf pending --watch` prints one line per refresh.
  --query takes a JMESPath expression over the JSON; a single value prints bare,
  unless with --output json.
  A task that the end of its workflow cut off is `gone`, except that in JSON its
  `state` remains what it was, and `end.state` is `gone`.
  Times in JSON are ISO 8601 in UTC. Timeouts are whole seconds, and null means
  unlimited. Durations are written 45, 45s, 5m, 1h30m or 2d.
  With --output text, each row is a line of fields separated by tabs. Control
  characters in a field are escaped, and null is an empty field:
    pending     count; for several lists: task list, count
    tasks       activity ID, state, task list, workflow ID, run ID, activity,
                worker, time of the last change, reason of the end
    tasks --by  value, scheduled, started, oldest scheduled at, longest running
                since
    stuck       reason, since, task list, activity ID, workflow ID, run ID, hint
    held        key, kind, activity ID, workflow ID, task list, domain, holder
                (alive, dead or unknown), taken at

One task
  `swf poll` prints a task as JSON; `held_key` is its key in `swf held`. The
  other commands take it from that file (--task FILE, or - for stdin), by
  --token, by --held KEY, or from the variable SWF_TASK_TOKEN.
  `swf poll --eval` prints assignments for a POSIX shell; fish cannot
  evaluate these: use `swf poll > task.json` there. Under `set -e`, write
    task=$(swf poll ... --eval)
    eval "$task"
  which stops a script if no task arrives (3), and also if swf is killed. A loop
  begins with  while task=$(swf poll ... --eval); do eval "$task"
  A result that is too long or not valid UTF-8 is wrong usage (2), and nothing
  is sent: the task is still yours to close. A failure is reported all the same:
  a reason that is too long is cut to its first 256 characters, details to their
  last 32,768, bytes that are not UTF-8 become U+FFFD, and a warning on stderr
  says so.
  `swf complete`, `fail` and `cancel` retry transient errors for --retry-for. If
  a response was lost, they check the execution history: the request succeeded
  (exit code 0), the task was already closed (5), or the outcome is unknown (6).
  On Ctrl-C, SIGTERM or SIGHUP, `swf poll` waits for the poll in flight, up to
  75 s. If a task arrives it is printed (exit code 0), so that a loop still
  handles it; otherwise `swf` dies of the signal and the loop ends.

Commands of `swf work`
  Commands run without a shell and without a terminal, in a process group of
  their own, with the task's input on stdin and these variables: SWF_TASK_TOKEN,
  SWF_TASK_ID, SWF_ACTIVITY_NAME, SWF_ACTIVITY_VERSION, SWF_WORKFLOW_ID,
  SWF_RUN_ID, SWF_DOMAIN, SWF_TASK_LIST, and those of the files below. They
  inherit the rest of the worker's environment, AWS credentials included.
  Exit code 0 completes the task; the result is stdout less one newline at its
  end. Any other exit code or a signal fails it: the reason is `exit N` or
  `signal NAME`, the details are the end of stderr. A result over 32,768
  characters or not valid UTF-8 fails it too, and the command is stopped as soon
  as its stdout cannot be a result any more. To print more than that, write
  $SWF_RESULT_FILE first. stdout and stderr are files: `> /dev/stderr` truncates
  one, while `>&2` and `>> /dev/stderr` append to it.
  Three files, fresh for each task, say more if the command writes to them:
    $SWF_RESULT_FILE     the result, instead of stdout
    $SWF_REASON_FILE     the reason of a failure, instead of `exit N`; its first
                         256 characters are sent
    $SWF_HEARTBEAT_FILE  its last line is sent with the next heartbeat
  When cancellation is requested, the command and its children get SIGTERM, and
  SIGKILL after --grace. The task is then reported as cancelled, or as completed
  if the command still exited 0.
  If commands cannot be started, the worker stops polling and retries for
  --grace; then it fails the tasks that it has, and exits with 1. One that is
  missing when the worker starts is wrong usage (2).
  A shell's `read` returns non-zero for an input without a newline at its end:
  under `set -e` write  read -r name || [ -n "$name" ]

A folder of handlers: `swf work --handlers DIR`
  For each task, DIR/ACTIVITY-NAME is run like a command. Handlers may change
  while the worker runs. A task whose activity has no handler there fails with
  the reason `no handler for NAME`. The folder must not be a link, and neither
  it nor a handler may be writable by everybody. A file that cannot be started,
  such as one that is not executable, is named when the worker starts.

Handlers that keep running: `swf work --stream -- COMMAND`
  COMMAND is started once for each busy slot, and gets one task after the other.
  For each, the worker writes a line to its stdin: the JSON that `swf poll`
  prints, without `held_key`. COMMAND writes lines of JSON to its stdout, and
  flushes each: any number of heartbeats, then exactly one of the others:
    {"heartbeat": "TEXT"}      sent with the next heartbeat
    {"result": "TEXT"}         completes the task
    {"failed": {"reason": "TEXT", "details": "TEXT"}}
    {"cancelled": {"details": "TEXT"}}
  When cancellation is requested, the worker writes {"cancel_requested": true}.
  A handler that has not responded after --grace is stopped, and its task
  cancelled. One that responds with a result or a failure all the same is not
  used again: its stdin is closed, and it must ignore a `cancel_requested` that
  it has not read yet.
  Respond exactly once to each task, and read the next line only when you are
  ready for it: a second response may fail that task or the next one or, if the
  next one was already read, count as its response.
  A handler that exits before it has responded, or writes any other line, fails
  the task and is replaced. Between tasks it may exit with 0. When the worker
  stops, it closes the handler's stdin, and the handler has --grace to exit.
  Lines are UTF-8, and at most 1 MiB. stderr is logged; its end is the details
  of a failure that the handler did not report itself.

The log of `swf work`
  A line about a task begins with `swf: [WORKFLOW ID/ACTIVITY ID]`, or with the
  brackets if the command wrote it to stderr. With --log-format json, each line
  is an object:
    time, level, message
    event    handlers, started, stderr (a line of the command), completed,
             failed, cancelled, closed (elsewhere), unconfirmed, retry,
             shutdown, summary, error, or log for anything else
    task     of a line about a task: id, workflow_id, run_id, activity (name and
             version), task_list
    seconds, reason    when a task ends
    ended, reasons     of a summary: how many tasks ended which way, and how
                       often each reason was given
    handlers           of the first line, with --handlers: names of activities
    hint, traceback    of an error, if there is one; traceback with --debug

Stopping and watching a worker
  A poll is given up 75 s after it began, and until then it may return a task,
  which still runs. Allow at least 75 s plus your longest task before anything
  kills a worker.
  --alive-file FILE is touched at the start, and with every poll and heartbeat
  that SWF answers. Its modification time does not advance while SWF cannot be
  reached, and, with --heartbeat off, while all slots are busy.
  In a systemd unit with Type=notify, the worker is ready once its first poll is
  sent. With WatchdogSec=, it notifies systemd while its threads make progress
  and, if it is idle, SWF answers; a poll in flight is progress for 80 s.
""",
    "stuck": """\
`swf stuck` reads the open executions of a domain and reports tasks that look
stuck, worst first:

  holder-gone  taken on this machine by a process that has died, or by a poll
               whose response was lost
               -> run the command in the hint. If the worker's command still
               runs, stop that first. If the token was lost, only the task's
               timeouts or closing its workflow ends it
  no-decider   a decision task waits, and no decider takes it
               -> start a decider on its list, or more of them if other tasks
               of the list are being taken
  decider-failing
               a decision task was taken and not completed, or timed out three
               times in a row
               -> check the decider
  endless      started, without a timeout of its own: it ends only with its
               workflow
               -> check the worker that `identity` names; if it is gone,
               terminate the workflow; give the activity type a start-to-close
               or a heartbeat timeout
  cancelling   cancellation was requested and not acknowledged
               -> make the worker send heartbeats and honour the cancellation
  held-here    taken by `swf poll` on this machine, or on one that shares its
               state folder, and not closed
               -> if its script is gone, run the command in the hint
  overdue      running at least a minute longer than the longest completed run
               of its activity that was read (with a shorter --older-than, at
               least that much longer); if none was read, longer than half its
               start-to-close timeout
               -> check the worker; its deadline says when it times out
  unclaimed    scheduled; no task of its list is running, and none was started
               since it was scheduled
               -> start a worker on the list, or correct the list's name
  backlog      scheduled; a task of its list is running, or was started since
               it was scheduled
               -> start more workers; if none was started for --older-than,
               check that those of the list are alive

Only tasks that have waited, run, or ignored a cancellation for at least
--older-than (10 minutes) are reported; decision tasks that keep timing out are
reported at once, and so is holder-gone, unless a poll was lost whose identity
other processes may share. Executions younger than --older-than are not read,
except for those of tasks taken on this machine and, if no other shows whether a
list has workers or deciders, up to 50 of the newest, open or closed. A workflow
that waits for a timer, a signal or a child is not stuck.

If tasks of an activity and list timed out one after another without being
started, the newest counts as waiting since the first of them, as far back as
was read. Not reported are tasks that a worker starts and that fail or time out
again and again: `swf tasks --workflow-id ID --all` shows them.

A hint that begins with `swf ` is a command that is safe to run and closes the
task. Whether to run any other command in a hint is for you to decide: nobody
can know whether a script that ran `swf poll` still works on its task.

`swf tasks` shows the open tasks of the domain; with --by FIELD it counts them.
`swf tasks --workflow-id ID --all` shows the tasks of one execution on a
timeline, and how each ended. `swf held` lists tasks that this machine polled
and has not closed.
""",
    "glossary": """\
  domain             --domain. Holds workflows, types and task lists; nothing is
                     shared between domains
  task list          --task-list, `task_list`. A queue with a name, created when
                     it is first used
  activity type      `activity`. Name and version of a kind of work
  activity task      one piece of work: scheduled on a task list, started by a
                     worker, then open until it is closed
  activity ID        `id`. The name that the decider gave the task, unique among
                     the open tasks of its execution
  workflow execution `execution`. The run of a workflow that the task belongs
                     to: workflow ID and run ID
  task token         --token, `token`. Anyone who has it can close the task.
                     Only a poll returns it; the history does not contain it
  identity           --identity. The name of the worker that started the task,
                     as the history shows it
  activity worker    `swf work`. Polls a task list, runs the tasks and responds
  slot               --jobs. One of the tasks that a worker runs at a time
  handler            a program that `swf work` runs for one activity
                     (--handlers) or keeps running (--stream)
  decider            the program that schedules activity tasks and requests
                     their cancellation
  decision task      what a decider polls for: SWF schedules one whenever
                     something happens that the decider must handle
  heartbeat          `swf heartbeat`. Tells SWF that a task is still being
                     worked on; the response says whether cancellation was
                     requested
  held task          `swf held`. A task that this machine polled and has not
                     closed
  lost poll          a poll whose response was lost, and with it, perhaps, the
                     token of a task that SWF has started
  start-to-close     `runtime_timeout`. How long a worker may take
  schedule-to-start  `schedule_timeout`. How long a task may wait for a worker
  schedule-to-close  `total_timeout`. How long both may take together
  heartbeat timeout  `heartbeat_timeout`. How long a worker may go without a
                     heartbeat
""",
}
"""Each topic's text."""
