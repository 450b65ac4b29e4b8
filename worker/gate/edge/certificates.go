package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files are the two files of one certificate, in PEM: the chain of certificates, the server's own first, and its private key.
type Files struct{ Certificate, Key string }

// Certificates are those by which a gateway says who it is. The files are looked at again, at most once a second, when a client comes.
type Certificates struct {
	log  *slog.Logger
	pems []*pair
	mu   sync.Mutex // of the one that looks at the files
	last atomic.Int64

	// More, unless it is nil, has certificates for names that no file is for, as those that are got by ACME. It is set before the first
	// handshake. It returns nil, nil for a name that it does not know.
	More func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Extend, unless it is nil, changes the config of each listener.
	Extend func(*tls.Config)
}

// pair is one certificate and the files that it was read from.
type pair struct {
	files Files
	seen  [2]os.FileInfo // what the files were when they were read last, also in vain
	now   atomic.Pointer[tls.Certificate]
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// LoadCertificates reads certificates. log is told of files that change.
func LoadCertificates(files []Files, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{log: log}
	var faults []error
	for _, f := range files {
		p := &pair{files: f, seen: f.stat()}
		cert, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			faults = append(faults, fmt.Errorf("cannot read the certificate %s with the key %s: %w", f.Certificate, f.Key, err))
			continue
		}
		p.now.Store(&cert)
		c.pems = append(c.pems, p)
	}
	c.last.Store(time.Now().UnixNano())
	return c, errors.Join(faults...)
}

// stat is what the two files of a certificate are now; nil for one that is not there.
func (f Files) stat() (both [2]os.FileInfo) {
	for i, name := range []string{f.Certificate, f.Key} {
		both[i], _ = os.Stat(name)
	}
	return both
}

// same reports whether no file has changed or was replaced.
func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
		} else if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// look reads the files that have changed. It is done by one handshake a second; the others go on with what is known.
func (c *Certificates) look(now time.Time) {
	if now.UnixNano()-c.last.Load() < int64(lookEvery) || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	c.last.Store(now.UnixNano())
	for _, p := range c.pems {
		seen := p.files.stat()
		if same(seen, p.seen) {
			continue
		}
		p.seen = seen
		cert, err := tls.LoadX509KeyPair(p.files.Certificate, p.files.Key)
		if err != nil {
			c.log.Error("the certificate stays as it is: its files cannot be read", "certificate", p.files.Certificate, "key", p.files.Key, "error", err)
			continue
		}
		p.now.Store(&cert)
		c.log.Info("certificate is read anew", "certificate", p.files.Certificate, "until", cert.Leaf.NotAfter)
	}
}

// get chooses the certificate for a client: the first that it takes, by the name that it asks for, its versions and its algorithms; else
// the first of all.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.look(time.Now())
	for _, p := range c.pems {
		if cert := p.now.Load(); hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	if c.More != nil {
		if cert, err := c.More(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(c.pems) > 0 {
		return c.pems[0].now.Load(), nil
	}
	return nil, fmt.Errorf("no certificate is for the name %q", hello.ServerName)
}

func (c *Certificates) extend(config *tls.Config) {
	if c.Extend != nil {
		c.Extend(config)
	}
}
