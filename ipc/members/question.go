package members

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// Question says how a member is asked for its statistics over HTTP: GET URL, which answers 200 with JSON.
type Question struct {
	// URL has {address}, {host}, {port} and {id} of the member in place of which its own are put. Of a member whose address is the path
	// of a Unix socket, address and host are localhost and the port is 80: the connection is made to its socket.
	URL string `json:"url"`
	// Stats says by statistic where it is in the answer, such as load.cpu.0 or 1 - cpu.busy / 100: see ParseNumber. None: the answer is a
	// Report, as that of /v1/load is, of which received_at does not count.
	Stats map[Stat]string `json:"stats,omitempty"`
}

const (
	// MaxAnswer is the longest answer that is read, in bytes.
	MaxAnswer = 64 << 10
	// MostStats bounds the statistics of a Question, and of an answer.
	MostStats = 64
)

// Check says what is wrong with q.
func (q *Question) Check() error {
	at, err := q.For(&Member{ID: "id", Address: "host:80"})
	if err != nil {
		return err
	}
	if u, err := url.Parse(at); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL: write one as http://{address}/v1/load", q.URL)
	}
	if len(q.Stats) > MostStats {
		return fmt.Errorf("%d statistics: at most %d are expected", len(q.Stats), MostStats)
	}
	for stat, path := range q.Stats {
		if stat == "" {
			return fmt.Errorf("a statistic has no name: its place is %q", path)
		}
		if _, err := ParseNumber(path); err != nil {
			return fmt.Errorf("%s: %w", stat, err)
		}
	}
	return nil
}

// For is the URL for m.
func (q *Question) For(m *Member) (string, error) {
	address := m.Address
	if filepath.IsAbs(address) {
		address = "localhost:80"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("cannot ask member %q: %w", m.ID, err)
	}
	inURL := host
	if strings.Contains(host, ":") {
		inURL = "[" + host + "]"
	}
	text := strings.NewReplacer("{address}", net.JoinHostPort(host, port), "{host}", inURL, "{port}", port, "{id}", url.PathEscape(m.ID)).Replace(q.URL)
	if strings.ContainsAny(text, "{}") {
		return "", fmt.Errorf("%q has a word in braces that is not known: there are {address}, {host}, {port} and {id}", q.URL)
	}
	return text, nil
}

// Read reads an answer. A statistic that is not there is left out of the report; one that is there and is not a finite number is an
// error, as is an answer that is not JSON.
func (q *Question) Read(answer []byte) (Report, error) {
	var r Report
	if len(q.Stats) == 0 {
		if err := json.Unmarshal(answer, &r); err != nil {
			return Report{}, fmt.Errorf("its answer is not a load report: %w", err)
		}
		if len(r.Stats) > MostStats {
			return Report{}, fmt.Errorf("its answer has %d statistics: at most %d are read", len(r.Stats), MostStats)
		}
		r.ReceivedAt = 0
		return r, nil
	}
	var document any
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return Report{}, fmt.Errorf("its answer is not JSON: %w", err)
	}
	r.Stats = make(map[Stat]Value, len(q.Stats))
	for stat, path := range q.Stats {
		number, err := ParseNumber(path)
		if err != nil {
			return Report{}, err
		}
		v, there, err := number.In(document)
		if err != nil {
			return Report{}, fmt.Errorf("its answer has %w", err)
		}
		if there {
			r.Stats[stat] = v
		}
	}
	return r, nil
}
