//go:build unix

// Command pinus plays the example: the gate of a chat application with several connectors and chat servers, as the document of Pinus has
// it. Its servers.json is that of the document, word for word.
package main

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/tinehq/tine/scripts/internal/story"
)

// place is where crc32(key) % n is.
func place(key string, n uint32) int { return int(crc32.ChecksumIEEE([]byte(key)) % n) }

func main() {
	s := story.Begin("Pinus: servers of several types, chosen by key")
	defer s.End()

	// The document's ports may be in use here: each server gets a free one. Clients' ports stay: nothing connects to them.
	replace := map[string]string{}
	servers := map[string]*story.Server{}
	for _, port := range []string{"4050", "4051", "4052", "6050", "6051", "6052"} {
		name := "chat-server-" + string(port[3]+1)
		v := s.Serve("", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s has room %s", name, r.URL.Query().Get("rid"))
		})
		servers[port] = v
		_, free, _ := strings.Cut(v.Address, ":")
		replace[`"port": `+port] = `"port": ` + free
	}
	text := s.Read("config/servers.json", replace)
	s.Write("config/servers.json", text)
	gate := s.Free()
	s.Tine(gate, map[string]string{"127.0.0.1:3014": gate})

	connector := func(uid string) string { return s.Get("/v1/pick?type=connector&uid=" + uid).Body }
	want := func(uid string, n uint32) string {
		return fmt.Sprintf(`{"code":200,"host":"127.0.0.1","port":%d}`, 3050+place(uid, n))
	}
	for _, uid := range []string{"1", "10001", "10002", "bob"} {
		got := strings.TrimSpace(connector(uid))
		s.Holds(got == want(uid, 3), "user %s is told the connector of crc32 %% 3: %s", uid, got)
	}
	post := s.Do(http.MethodPost, "/v1/pick", `{"type":"connector","uid":10001}`, "Content-Type", "application/json")
	s.Holds(strings.TrimSpace(post.Body) == want("10001", 3), "a number for uid is its decimal string: %s", strings.TrimSpace(post.Body))
	none := s.Get("/v1/pick?type=area&uid=1")
	s.Holds(none.Status == 200 && strings.Contains(none.Body, `"code":500`), "a type that there is not: %s, with status %d", strings.TrimSpace(none.Body), none.Status)
	chat := s.Get("/v1/pick?type=chat&uid=1")
	s.Holds(strings.Contains(chat.Body, `"code":500`), "a chat server is no frontend, and is never given to a client: %s", strings.TrimSpace(chat.Body))

	room := s.Get("/chat?rid=room1").Body
	s.Holds(room == "chat-server-3 has room room1", "a room reaches its chat server: %s", room)
	same := true
	for range 20 {
		same = same && s.Get("/chat?rid=room1").Body == room
	}
	s.Holds(same, "and so it does twenty times more")

	servers["6052"].Stop()
	s.Holds(s.Get("/chat?rid=room1").Body == "chat-server-1 has room room1", "its server is gone: the next one in the list has the room")
	s.Holds(s.Get("/chat?rid=uid").Body == "chat-server-2 has room uid", "rooms of the other servers stay where they are")
	servers["6052"].Start()
	s.Comes(func() bool { return s.Get("/chat?rid=room1").Body == room }, "the server is back, and has its room again")

	// Scaling out: one line more in the file.
	more := s.Serve("", func(http.ResponseWriter, *http.Request) {})
	_, port, _ := strings.Cut(more.Address, ":")
	line := `{"id": "connector-server-3", "host": "127.0.0.1",`
	added := strings.Replace(text, line, `{"id": "connector-server-4", "host": "127.0.0.1", "port": `+port+`, "clientPort": 3053, "frontend": true},`+"\n      "+line, 1)
	s.Write("config/servers.json", added)
	s.Comes(func() bool {
		fourth := 0
		for i := range 40 {
			if strings.Contains(connector(fmt.Sprint("user", i)), `"port":3053`) {
				fourth++
			}
		}
		return fourth > 4
	}, "a connector is added to the file, and users are told it, without a restart")
	s.Comes(func() bool { return s.Logged("keys") }, "the log says how many keys have moved")

	s.Write("config/servers.json", strings.Replace(added, `"frontend": true}`, `"frontend": true`, 1))
	s.Comes(func() bool { return s.Logged("servers.json:") }, "the file is broken: the log says in which line")
	s.Holds(strings.Contains(connector("1"), `"code":200`), "and the servers that were good last go on")
}
