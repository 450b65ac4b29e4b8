// Package script plays text scripts against a pure core, in tests. A pure core is a state machine that is told of an event
// and the time and returns effects: pool, keeper's core, apps, orders. Its scripts are its specification.
//
// # The format
//
// A file testdata/NAME.txtar holds stories. Each story is a file of the archive and begins with a new core. A line is one
// of these:
//
//	# text            a comment; an empty line is one too
//	  text            indented: what the core answers to the line above, one effect a line
//	COMMAND ...       what happens: a word of the core's own, or one of the next
//	wait DURATION     the clock goes on, and the core is told at each of its deadlines
//	tick              the clock goes on to the next deadline, and the core is told; without a deadline: "waits for nothing"
//	pause DURATION    the clock goes on and nothing runs; then the core's own events for this line, if it has any
//	at DURATION ...   the clock is that long after the beginning, without a tick before; then the rest of the line
//
// An answer to a tick is preceded by the time since the beginning. The runner replays the commands, writes the answers anew
// and compares the whole text. `go test ./PACKAGE -run TestScripts -update` writes the answers into the files: read the
// difference before you commit it.
//
// # The parts
//
//	Run    plays all scripts of testdata, one subtest a story
//	Play   plays one story and returns it with the answers that the core gave
//	Core   what the runner needs of a core: its step, its deadline, its words
//	Clock  the time of a story, which a command may set
//
// Importing this package registers the flag -update, so an importing test must not register it too. Only tests import it.
package script
