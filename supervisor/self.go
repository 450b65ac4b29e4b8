package supervisor

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tinehq/tine/ipc"
)

// Self returns the command that runs this program again with its own arguments: as
// the worker, in a program that is master and worker in one binary. It names the
// program as it was named, so that a symlink in it is followed anew by each
// rollout.
func Self() []string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		if path, err = os.Executable(); err != nil {
			path = os.Args[0]
		}
	}
	return append([]string{path}, os.Args[1:]...)
}

// IsWorker says whether this process was started by a master. It must be asked
// before worker.Start, which takes the channel.
func IsWorker() bool { return os.Getenv(ipc.EnvChannel) != "" }
