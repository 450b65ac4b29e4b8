package dashboard

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

const (
	minToken = 16   // characters: fewer can be guessed
	maxToken = 1024 // characters
)

// token is kept as its hash: two hashes are as long as each other, so that comparing
// them takes the same time whatever was sent.
type token [sha256.Size]byte

// readToken reads the token and checks that no other user can.
func readToken(path string) (*token, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the dashboard's token: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, not of what is there by now
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the dashboard's token: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("cannot read the dashboard's token: %s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("cannot use the dashboard's token: %s has mode %04o, so that others may read it: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxToken+3))
	if err != nil {
		return nil, fmt.Errorf("cannot read the dashboard's token: %w", err)
	}
	text = bytes.TrimSpace(text)
	switch n := len(text); {
	case n < minToken:
		return nil, fmt.Errorf("cannot use the dashboard's token: %s holds %d characters, it takes %d at least", path, n, minToken)
	case n > maxToken:
		return nil, fmt.Errorf("cannot use the dashboard's token: %s holds more than %d characters", path, maxToken)
	}
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return nil, fmt.Errorf("cannot use the dashboard's token: %s holds more than one line of printable ASCII characters", path)
		}
	}
	t := token(sha256.Sum256(text))
	return &t, nil
}

// granted says whether the request has the token. Its time does not tell how much of
// a wrong one is right.
func (t *token) granted(r *http.Request) bool {
	if t == nil {
		return false
	}
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(sent)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], t[:]) == 1
}
