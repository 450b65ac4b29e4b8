//go:build unix

// Command shiny plays the example: four Shiny apps of which each has one user at a time, and a client that is sent to the one with the
// fewest.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/tinehq/tine/scripts/internal/story"
)

// app is a running Shiny app.
type app struct {
	name, address string
	cmd           *exec.Cmd
	users         []net.Conn
}

func start(s *story.Story, program, name string) *app {
	folder := filepath.Join(s.Dir, "srv", name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.Holds(false, "a folder for %s: %v", name, err)
	}
	a := &app{name: name, cmd: exec.Command(program)}
	a.cmd.Dir = folder
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		s.Holds(false, "a pipe: %v", err)
	}
	s.Process(a.cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Holds(false, "%s says where it listens: %v", name, err)
	}
	a.address = strings.TrimSpace(line)
	return a
}

// comes is a user who opens the app.
func (a *app) comes(s *story.Story) {
	c, err := net.Dial("tcp4", a.address)
	if err != nil {
		s.Holds(false, "a user opens %s: %v", a.name, err)
	}
	a.users = append(a.users, c)
}

func (a *app) allLeave() {
	for _, c := range a.users {
		c.Close()
	}
	a.users = nil
}

func main() {
	s := story.Begin("Shiny: the app with the fewest users")
	defer s.End()
	program := filepath.Join(s.Dir, "R")
	s.Run("go", "build", "-o", program, "./R")
	me, err := user.Current()
	if err != nil {
		s.Holds(false, "who this is: %v", err)
	}
	var apps []*app
	for i := range 4 {
		apps = append(apps, start(s, program, fmt.Sprintf("app_%d", i+1)))
	}
	at := s.Free()
	s.Tine(at, map[string]string{"127.0.0.1:8000": at, "user: shiny": "user: " + me.Username})

	to := func() string {
		a := s.Get("/")
		return strings.TrimPrefix(a.Header.Get("Location"), "http://192.168.150.36/")
	}
	// members is the table, once every app has been seen with so many users.
	seen := func(want ...int) func() bool {
		return func() bool {
			lines := strings.Split(s.Cmd("gate", "members", "--json"), "\n")
			text := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
			for i, n := range want {
				_, rest, ok := strings.Cut(text, fmt.Sprintf(`"id": "app_%d"`, i+1))
				if !ok {
					return false
				}
				rest, _, _ = strings.Cut(rest, `"id":`)
				if !strings.Contains(rest, fmt.Sprintf(`"connections": %d`, n)) {
					return false
				}
			}
			return true
		}
	}
	for i, n := range []int{2, 1, 3, 1} {
		for range n {
			apps[i].comes(s)
		}
	}
	apps[3].allLeave()
	s.Comes(seen(2, 1, 3, 0), "the apps have 2, 1, 3 and 0 users")
	answer := s.Get("/")
	s.Holds(answer.Status == 307 && strings.HasSuffix(answer.Header.Get("Location"), "/app_4"), "a client is sent to the app without users: %d, %s", answer.Status, answer.Header.Get("Location"))
	s.Holds(answer.Header.Get("Cache-Control") == "no-store", "and is to ask again the next time")

	apps[3].comes(s)
	apps[3].comes(s)
	apps[3].comes(s)
	s.Comes(seen(2, 1, 3, 3), "three users have come to app_4")
	s.Comes(func() bool { return to() == "app_2" }, "the next client is sent to app_2, which has one")

	framed := s.Get("/", "Sec-Fetch-Dest", "iframe")
	s.Holds(framed.Status == 200 && strings.Contains(framed.Body, "_top"), "a client in a frame gets a page that has the whole window go there")

	_ = apps[1].cmd.Process.Kill()
	s.Comes(func() bool {
		for range 8 {
			if to() == "app_2" {
				return false
			}
		}
		return true
	}, "app_2 has died: it is unknown, and not taken for the one without users")
}
