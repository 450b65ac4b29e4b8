// Package target finds the master that a command line means, and which of its apps.
//
// A Target is the flags -m, -a and --control of one command, with the name of an app that stands as an argument. Its
// owner is the command: it calls Define once, and then Run or On, which ask all masters that are possible at the same time
// and hand over the one that is meant.
//
//	var t target.Target
//	cmd := &cobra.Command{RunE: t.Run(func(cmd *cobra.Command, r *target.Running) error {
//		apps, err := target.Chosen(r.Seen, t.App)
//		...
//	})}
//	t.Define(cmd, true)
//
// Which masters are possible, first match:
//
//	--control PATH, $TINE_CONTROL   the socket at PATH, or all sockets in the folder PATH
//	-m NAME                         the master of that name, a near one before others
//	neither                         all near ones; all of this user, where none is near
//
// Near are those in the folder of this environment's own XDG_RUNTIME_DIR: see control.Discover. Of several possible
// masters the one is meant that runs the app which is named. What is still open is an error that names the flag to add.
//
//	target.go      Target, Find: from the flags to one Running master
//	choose.go      Chosen: from a name to apps
//	lost.go        LostError: a keeper lives, and its master does not answer
//	complete.go    the completion of apps, masters, slots and keys for shells
//	log_folder.go  where masters in the background log
//
// All waits are bounded: an answer by AnswerTimeout, a master that its keeper is bringing back by MasterWait, a completion
// by 1.5 seconds.
package target
