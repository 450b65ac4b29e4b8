//go:build unix

// Command reverse-proxy plays the example: servers of which each has an agent that tells its free memory and idle CPU, and a proxy that
// gives each connection to the best of them. The agents answer over HTTP.
package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tinehq/tine/scripts/internal/story"
)

// server is one of the servers, with its agent.
type server struct {
	*story.Server
	cpu atomic.Int64 // percent that is not used
}

func newServer(s *story.Story, name string, cpu int64) *server {
	v := &server{}
	v.cpu.Store(cpu)
	files := http.FileServer(http.FS(os.DirFS(".")))
	v.Server = s.Serve("", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", name)
		if r.URL.Path == "/agent" {
			fmt.Fprintf(w, `{"tipo": "probe response", "RAM": %d, "CPU": %d, "IP": "127.0.0.1", "Door": 80}`, 1<<30, v.cpu.Load())
			return
		}
		files.ServeHTTP(w, r)
	})
	return v
}

// stateOf is the state of a server in the table of members.
func stateOf(table, server string) string {
	for line := range strings.Lines(table) {
		if words := strings.Fields(line); slices.Contains(words, server) {
			for _, state := range []string{"ready", "down"} {
				if slices.Contains(words, state) {
					return state
				}
			}
		}
	}
	return ""
}

func main() {
	s := story.Begin("a reverse proxy: the server with the most memory, the most idle CPU and the shortest way")
	defer s.End()
	servers := []*server{newServer(s, "a", 10), newServer(s, "b", 90), newServer(s, "c", 20)}
	at := s.Free()
	replace := map[string]string{"127.0.0.1:8080": at}
	for i, v := range servers {
		replace[fmt.Sprintf("127.0.0.1:800%d", i+1)] = v.Address
	}
	s.Tine(at, replace)

	// most is the server that most of some connections have reached.
	most := func() string {
		count := map[string]int{}
		best := ""
		for range 20 {
			a := s.Get("/")
			name := a.Header.Get("Server")
			if count[name]++; count[name] > count[best] {
				best = name
			}
		}
		return best
	}
	s.Comes(func() bool { return most() == "b" }, "most connections reach b, whose CPU is idle")
	direct, through := s.Get("http://"+servers[1].Address+"/").Body, s.Get("/").Body
	s.Holds(direct == through && strings.Contains(through, "tine.yaml"), "the list of a folder through the proxy is the direct one, byte for byte")

	servers[1].cpu.Store(5)
	servers[2].cpu.Store(95)
	s.Comes(func() bool { return most() == "c" }, "b is busy and c is idle: most reach c now")

	servers[2].Stop()
	lost := 0
	for range 50 {
		if !s.Get("/").OK() {
			lost++
		}
	}
	s.Holds(lost == 0, "c is gone: 50 connections find another server, %d are lost", lost)
	s.Comes(func() bool { return stateOf(s.Cmd("gate", "members"), "c") == "down" }, "and the table says that it is down")
	servers[2].Start()
	s.Comes(func() bool { return most() == "c" }, "c is back, and the best again")

	for _, v := range servers {
		v.Stop()
	}
	s.Comes(func() bool { return s.Get("/").Err != nil }, "no server is left: a connection is closed at once")
}
