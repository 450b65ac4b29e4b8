// Package config describes what a master runs: its apps, cached values, and how it is reached and watched.
//
// A [Config] is plain data. It comes from package config/file, which reads YAML, from the record of an earlier master
// ([Config.Restored]), or from Go code ([NewApp], [Single]). WithDefaults fills in what is left out, Validate finds what
// is wrong and says where ([Problems]), In makes relative paths absolute, and Warnings looks at what would hinder a start
// although the config is valid.
//
//	config.go       the types, their defaults
//	cache_value.go  a cached value and its source
//	life.go         hooks, schedules, dependencies, watched files
//	log.go          log files
//	console.go      control socket, dashboard, metrics, health
//	validate.go     checks of the whole
//	claim.go        which addresses are the same, and what has them already
//	change.go       what differs between two versions of an app
//	derived.go      what follows from a config: slots, addresses, steering, timeouts
//	environment.go  what a worker finds in its environment
//	env_file.go     files of variables
//	mask.go         what is not shown of it
//	place.go        relative paths
//
// A Config that runs is never changed, so that goroutines share it without a lock. Nothing here knows of YAML, of
// processes or of the loop.
package config
