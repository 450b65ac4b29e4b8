//go:build unix

// Command k2 plays the example: application servers that are asked for their statistics, in both modes of the document.
package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/scripts/internal/story"
)

// appServer is one application server, with its statistics by K2's names.
type appServer struct {
	*story.Server
	cpu   atomic.Int64
	asked atomic.Int64
	slow  atomic.Bool // it does not answer questions
}

func newAppServer(s *story.Story, name string, cpu int64) *appServer {
	a := &appServer{}
	a.cpu.Store(cpu)
	a.Server = s.Serve("", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/statistics" {
			a.asked.Add(1)
			if a.slow.Load() {
				<-r.Context().Done()
				return
			}
			fmt.Fprintf(w, `{"bscSystemCPUAvg": %d, "bscSystemFreeMemory": 1000}`, a.cpu.Load())
			return
		}
		fmt.Fprint(w, name)
	})
	return a
}

func main() {
	s := story.Begin("K2: weighted statistics, on request and continuously")
	defer s.End()
	as := []*appServer{newAppServer(s, "as1", 90), newAppServer(s, "as2", 10), newAppServer(s, "as3", 50)}
	at := s.Free()
	replace := map[string]string{"127.0.0.1:8000": at}
	for i, one := range as {
		replace[fmt.Sprintf("127.0.0.1:800%d", i+1)] = one.Address
	}
	s.Tine(at, replace)

	s.Holds(s.Get("/").Body == "as2", "the server with the least CPU in use gets the request")
	as[1].cpu.Store(95)
	as[2].cpu.Store(5)
	s.Holds(s.Get("/").Body == "as3", "the next request is evaluated anew: another one is the best now")

	asked := as[0].asked.Load()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { s.Get("/") })
	}
	wg.Wait()
	rounds := as[0].asked.Load() - asked
	s.Holds(rounds < 50, "50 requests at once were answered after %d rounds of questions", rounds)

	as[0].slow.Store(true)
	began, all := time.Now(), true
	for range 20 {
		all = all && s.Get("/").OK()
	}
	took := time.Since(began)
	s.Holds(all && took < 3*time.Second, "a server that does not answer costs each of the two workers one request timeout: 20 requests in %s", took.Round(time.Millisecond))
	as[0].slow.Store(false)

	// At login a user gets a server, and stays there.
	login := s.Do(http.MethodPost, "/login", "user=eva")
	cookie := strings.Split(login.Header.Get("Set-Cookie"), ";")[0]
	s.Holds(cookie != "", "the answer to the login sets a cookie: eva is at %s", login.Body)
	as[2].cpu.Store(99)
	as[0].cpu.Store(1)
	other := s.Get("/").Body
	s.Holds(s.Get("/", "Cookie", cookie).Body == login.Body && other != login.Body, "eva stays at %s although %s is better now", login.Body, other)

	out := s.Cmd("gate", "history")
	s.Holds(strings.Contains(out, "as3"), "tine gate history has the last decisions")
	id := s.Get("/").Header.Get("X-Request-Id")
	why := s.Cmd("why", id)
	s.Holds(strings.Contains(why, "as1") && strings.Contains(why, "as2"), "tine why says why a request went where it did:\n%s", why)
}
