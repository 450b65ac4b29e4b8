// Package term is what the commands of tine share in writing to a person or a program: one place decides how a table,
// a colour, a duration or an error looks.
//
// A command makes one Screen of its standard output. A Screen knows whether it is a terminal, how wide it is, and whether
// it may have colours; it remembers the first write that fails, so that a command prints in many pieces and asks once
// (Screen.Failed).
//
//	s := term.NewScreen(cmd.OutOrStdout())
//	t := term.NewTable(term.Left("APP", 0), term.Right("READY", 0), term.Right("CPU", 2))
//	t.Add("web", "4/4", term.Red.Cell("97%"))
//	t.Write(s, 0)
//	return s.Failed()
//
//	screen.go    Screen, Colour; Harmless: other people's text without control sequences
//	table.go     Table: columns that are left out where the terminal is too narrow
//	human.go     durations, sizes and counts for people; JSON for programs
//	words.go     one line for each event, log line, state of an app or a worker
//	progress.go  Progress: the steps of an order, in place on a terminal, else one a line
//	exit.go      the exit statuses, the errors that carry one, and Report
//
// Text that a worker, a config or a client has written (a key, a reason, a line of output) is never printed as it is:
// tables replace its control characters, and all else passes Screen.Harmless.
//
// The package decides nothing about masters and asks none: of package supervisor it knows the types of
// supervisor/control only.
package term
