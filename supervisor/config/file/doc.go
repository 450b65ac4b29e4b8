// Package file reads and writes a [config.Config] as YAML.
//
// One table of keys (sections.go, one function for each section) serves everything: a codec for each key decodes a value,
// says what is wrong with it, encodes it again and describes it in the JSON schema. So a key that can be read can also be shown
// ([YAML]), checked by an editor ([Schema]) and compared ([Diff]).
//
//	load.go      Load: files, includes, environments; Reload reads again what was read
//	source.go    bytes to a syntax tree, with bounds on depth and size (bound.go)
//	merge.go     several files, and the sections of an environment, to one tree
//	vars.go      ${VARIABLES}
//	decode.go    the tree to a Config by the table; every fault is collected with its place
//	sections.go  the table of keys
//	keys.go      what an editor shows of each key
//	values.go    the codecs: durations, sizes, words, lists
//	life.go      the codecs of hooks, dependencies and watched files
//	show.go      Config to YAML
//	schema.go    the table to a JSON schema
//	diff.go      two configs to a list of changes
//	flag.go      cached values that flags of the command line describe
//
// A fault has the file, line and column, the path of the key, what is wrong and what was expected, and shows the line with a
// caret. All faults of a config are reported at once. Nothing here starts or opens anything but the files that it reads.
// Functions are safe for concurrent use.
package file
