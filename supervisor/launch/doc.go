// Package launch is what a worker or a hook is started with.
//
// A [Generation] is how the workers of one rollout are started. What its config says (command, symlinks, folder,
// environment, env files, CPUs) is looked up once, by the first worker of it that is started; what came of that is its
// [Recipe]. The files that it is made of are its release: [Pins] holds them open, here and in the store for the next
// master, so that a worker that crashes an hour later is started from the same program, whatever the path leads to by then.
//
//	generation.go  from an app's config to a Recipe, once for each generation
//	release.go     a Recipe with its files held open; the same release again, for a rollback
//	releases.go    the generations of one app: what runs, what can be started again, what a rollback goes back to
//	shown.go       a release as readers see it
//	pins.go        open files of releases, each once, bounded; stored for the next master
//	hook.go        runs a hook; the hook before_start once for each generation
//
// [Releases] is the loop's and waits for nothing. All else may wait for a disk: the loop calls only what its comment allows, and the
// rest runs in the goroutine that starts a process.
package launch
