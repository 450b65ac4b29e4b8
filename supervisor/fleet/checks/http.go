package checks

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
)

// HTTP passes where a GET is answered by an expected status. The body of the answer is not read, and no redirect is followed.
type HTTP struct {
	Path     string // with the query; default /
	Host     string // the Host field, and the name that the certificate must be for; default: the host of the member's address
	Statuses Statuses
	TLS      bool
	Insecure bool // any certificate will do
}

// most bounds the head of an answer, in bytes.
const most = 64 << 10

func (h HTTP) check(ctx context.Context, m members.Member) (fleet.Event, error) {
	host := h.Host
	switch address, _, err := net.SplitHostPort(m.Address); {
	case host != "":
	case filepath.IsAbs(m.Address) || err != nil:
		host = "localhost"
	case h.TLS:
		host = address
	default:
		host = m.Address
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+cmp.Or(h.Path, "/"), nil)
	if err != nil {
		return checked(m, err)
	}
	request.Close = true
	request.Header.Set("User-Agent", "Tine-Check")
	return checked(m, talk(ctx, m.Address, func(c net.Conn) error {
		if h.TLS {
			name, _, err := net.SplitHostPort(host)
			if err != nil {
				name = host
			}
			secure := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: h.Insecure, NextProtos: []string{"http/1.1"}})
			if err := secure.HandshakeContext(ctx); err != nil {
				return err
			}
			c = secure
		}
		if err := request.Write(c); err != nil {
			return err
		}
		return h.read(c, request)
	}))
}

func (h HTTP) read(c io.Reader, request *http.Request) error {
	for r := bufio.NewReader(io.LimitReader(c, most)); ; {
		answer, err := http.ReadResponse(r, request)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
			return errors.New("the connection was closed before the answer")
		case err != nil:
			return err
		}
		// The body is left alone: to close it would be to read it, and the connection is closed anyway.
		if s := answer.StatusCode; s >= 200 || s == http.StatusSwitchingProtocols {
			if !h.Statuses.Has(s) {
				return fmt.Errorf("status %d: %s is expected", s, h.Statuses)
			}
			return nil
		}
	}
}

// Statuses are the statuses that are expected. The zero value has 200 to 399.
type Statuses []struct{ First, Last int }

// ParseStatuses reads a list such as 200-299,404.
func ParseStatuses(text string) (Statuses, error) {
	var all Statuses
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return nil, fmt.Errorf("%q is not a status or a range of them: write a list such as 200-299,404", part)
		}
		all = append(all, struct{ First, Last int }{a, b})
	}
	return all, nil
}

// Has reports whether a status is expected.
func (s Statuses) Has(status int) bool {
	for _, r := range s {
		if r.First <= status && status <= r.Last {
			return true
		}
	}
	return len(s) == 0 && status >= 200 && status <= 399
}

// String is the list as ParseStatuses reads it.
func (s Statuses) String() string {
	if len(s) == 0 {
		return "200-399"
	}
	var all []string
	for _, r := range s {
		text := strconv.Itoa(r.First)
		if r.Last != r.First {
			text += "-" + strconv.Itoa(r.Last)
		}
		all = append(all, text)
	}
	return strings.Join(all, ",")
}
