// Package book keeps what a reader may want to follow: the lines that workers and the master print ([Lines]), and the
// events of a master ([Events]). Both are bounded rings in memory.
//
// Writers never wait. A reader has a place in the ring and reads on from it; one that is so slow that its next entry has
// been dropped is told how many it has missed, and goes on with the oldest entry that is left. Entries have numbers that
// only grow, so that a reader that comes back says after which it wants to read on.
//
//	lines.go   the ring of each app, in text and count bounded
//	query.go   a reader of lines: filter, the newest n, since, follow
//	master.go  the writer through which the master's own log lines come in
//	events.go  the ring of events
//
// A reader blocks until there is more, its context ends or the book is closed.
package book
