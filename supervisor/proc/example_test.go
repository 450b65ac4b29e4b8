package proc_test

import (
	"fmt"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/proc"
)

func Example() {
	command, err := proc.Resolve(proc.Spec{
		Command: []string{"sh", "-c", "echo working; echo out of cheese >&2; exit 3"},
		Env:     ipc.ScrubEnv(os.Environ()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	process, err := proc.Start(command, proc.Options{
		Stdout: func(line []byte, more bool) { fmt.Printf("stdout: %s\n", line) },
		Stderr: func(line []byte, more bool) {},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-process.OutputDone()
	exit := process.Exit()
	fmt.Println(exit, "-", exit.LastLine)
	// Output:
	// stdout: working
	// exit code 3 - out of cheese
}
