package ipc_test

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
)

// The master's end of a channel: values are coalesced by key, everything else is a queue.
func ExampleOutbox() {
	conn, child, err := ipc.Pair() // child goes to exec.Cmd.ExtraFiles
	if err != nil {
		fmt.Println(err)
		return
	}
	out := ipc.NewOutbox(conn, ipc.OutboxOptions{
		OnStuck: func(d time.Duration) { fmt.Println("the worker has not read for", d) },
	})

	users, err := ipc.NewPayload([]byte("50"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := out.SendValue(ipc.Set{Epoch: 1, Key: "users", Payload: users}); err != nil {
		fmt.Println(err)
	}
	out.CloseAfterFlush(time.Second)
	<-out.Done()

	worker := dial(child)
	for {
		f, err := worker.Read()
		if err != nil {
			fmt.Println(err)
			break
		}
		switch f := f.(type) {
		case ipc.Set:
			b, err := f.Payload.Bytes()
			fmt.Printf("%s = %s (epoch %d, %v)\n", f.Key, b, f.Epoch, err)
		}
		ipc.Discard(f)
	}
	worker.Close()
	// Output:
	// users = 50 (epoch 1, <nil>)
	// EOF
}

// dial stands for the other process: it opens the channel as a worker does.
func dial(child *os.File) *ipc.Conn {
	defer child.Close()
	fd, err := syscall.Dup(int(child.Fd()))
	if err != nil {
		panic(err)
	}
	os.Setenv(ipc.EnvChannel, fmt.Sprint(fd))
	c, err := ipc.FromEnv()
	if err != nil {
		panic(err)
	}
	return c
}
