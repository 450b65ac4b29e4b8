// Package file reads and writes a [config.Config] as YAML.
//
// One table of keys ([sections.go], one function for each section) serves everything: a codec for each key decodes a
// value, says what is wrong with it, encodes it again, describes it in the JSON schema and compares two of it. So a key
// that can be read can also be shown ([YAML]), checked by an editor ([Schema]) and compared ([Diff]).
//
//	load.go      Load: files, includes, environments; Reload reads again what was read
//	source.go    bytes to a syntax tree, with bounds on depth and size (bound.go)
//	merge.go     several files, and the sections of an environment, to one tree
//	vars.go      ${VARIABLES}
//	decode.go    the tree to a Config by the table; every fault is collected with its place
//	keys.go      key, codec
//	sections.go  the table
//	values.go    the codecs: durations, sizes, words, lists
//	show.go      Config to YAML
//	schema.go    the table to a JSON schema
//	diff.go      two configs to a list of changes
//	flag.go      what flags of the command line say of it
//
// A fault is told with file, line, column, the path of the key, what is wrong and what was expected, with the line itself
// and a caret. All faults of a file are told at once. Nothing here starts or opens anything but the files that it reads.
package file
