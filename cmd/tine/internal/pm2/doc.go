// Package pm2 makes a config file of tine from an ecosystem file of PM2.
//
// Import reads the JSON of an ecosystem file and returns the YAML of a config, with a note for each key that has no
// counterpart. It takes the keys one by one out of the app that it reads; what is left at the end is unknown, and noted
// too, so that nothing is dropped without a word.
//
//	pm2.go     Import; importer, the owner of one import: its apps, environments and notes
//	source.go  source: an app of the ecosystem file, and reading values of any JSON type from it
//	app.go     which keys become what; noCounterpart says of the others why not
//	write.go   names, quoting and the text of the config
//
// The result is loaded once before it is returned. What is wrong with it is a note and not an error: the person who
// imports is going to edit it.
package pm2
