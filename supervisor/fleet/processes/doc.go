// Package processes reports how many users the apps of this host have whose processes are not Tine's, such as those of a Shiny server.
//
//	/proc/PID/stat, status   ──▶ processes of the command and user
//	/proc/PID/cwd, fd        ──▶ the app of each (a regexp over the paths), and its sockets
//	sock_diag, /proc/net/unix ─▶ which sockets listen, and which connections are established
//	                              └──▶ one sample, once a second: fleet.Listed with a report for each app that was seen
//
// # What is counted
//
// The users of an app are the established connections to the sockets on which its processes listen, TCP and Unix. A connection that a process has
// made itself, to a database say, is not one of them. The processes of one app are summed; a socket that several of them have open counts once.
// A report has these statistics:
//
//	connections   established; absent if no process of the app listens
//	cpu           CPUs in use since the sample before: 1 is one whole CPU. Absent in the first sample
//	memory        resident, in bytes
//
// An app without a process has no report: it is unknown, and not an app with 0 users. A sample is one event, so that no table has a part of it.
//
// # What it may see
//
// The open files of a process can be read by its own user, by root, and with CAP_SYS_PTRACE. What is missing is told as fleet.Silent if no process
// can be read, and else as a warning. Processes in another network namespace listen where this one cannot look. Linux only.
package processes
