//go:build unix

// Command R stands for the R process of a Shiny app: it listens, and keeps the connections of its users.
package main

import (
	"fmt"
	"net"
	"os"
)

// users are the connections, which the garbage collector would close if nothing referred to them.
var users []net.Conn

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot listen:", err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		users = append(users, c)
	}
}
