// Package logs takes all lines that a person reads: the master's own, and those that workers and hooks print.
//
//	line of a worker ──▶ Outlet ──▶ prefix, text or JSON ──▶ sink ──▶ stdout, stderr, the master's file or the app's
//	                        └──▶ book.Lines (a copy, for readers that follow)
//
// [Logs] is the owner: it has a sink for each destination, and the routes of the apps. A [zerolog.Logger] is embedded, so
// that the master logs through the same sinks.
//
//	logs.go    Logs, Outlet: which line goes where, and how it is written
//	app.go     apps with a log file of their own; their change when a config is applied
//	sink.go    a destination that may be slow: a bounded buffer, a goroutine that writes, blocking or dropping when full
//	file.go    a file that is rotated, and follows a rename or a removal by logrotate
//	rotate.go  rotated files: their names; they are compressed, and removed when there are too many
//	dump.go    what the goroutines of a worker that stands still were doing: a private file for each, of which the newest stay
//	stream.go  stdout and stderr: whole lines in pieces that a pipe takes as one
//
// A line is handed to its sink before more is read from the process that printed it, so a slow destination slows the app
// that is configured to block, and no other. After [Logs.Close] all goroutines have ended, except that of a destination that
// takes no more bytes.
package logs
