package main

import (
	"context"
	"fmt"
	"os"

	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/keeper"
)

func main() {
	keeper.Main()
	c, err := keeper.Dial()
	if err != nil {
		panic(err)
	}
	if c == nil {
		exe, _ := os.Executable()
		panic(keeper.Exec(keeper.Options{Command: exe, Fallback: "/proc/self/exe"}))
	}
	files, err := keeper.Inherited()
	if err != nil {
		panic(err)
	}
	cfg, err := supervisor.Load(os.Args[1])
	if err != nil {
		panic(err)
	}
	s, err := supervisor.New(cfg, supervisor.WithSignals(), supervisor.WithStore(c, files))
	if err != nil {
		panic(err)
	}
	c.Notify("STATUS=up")
	go func() { <-s.Ready(); c.Notify("READY=1"); fmt.Fprintln(os.Stderr, "READY", os.Getpid()) }()
	err = s.Run(context.Background())
	c.Notify("STOPPING=1")
	fmt.Fprintln(os.Stderr, "END", err)
}
