// Command orphans leaves children behind, for the tests of Tine as PID 1: it starts N of
// itself that end when their parent has, so that only PID 1 can reap them.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

func main() {
	if len(os.Args) < 2 { // a child: the pipe ends with the parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "orphans:", err)
		os.Exit(2)
	}
	r, _, err := os.Pipe() // the other end is closed by our exit
	if err != nil {
		fmt.Fprintln(os.Stderr, "orphans:", err)
		os.Exit(1)
	}
	for range n {
		c := exec.Command("/proc/self/exe")
		c.Stdin = r
		if err := c.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "orphans:", err)
			os.Exit(1)
		}
	}
	fmt.Println("left", n)
}
