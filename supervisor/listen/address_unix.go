package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The options of a Unix-domain address, after its path.
const (
	optionMode  = "mode"
	optionUser  = "user"
	optionGroup = "group"
)

// UnknownOptionError says that a Unix-domain address has an option that there is not.
type UnknownOptionError struct {
	Option string
	Known  []string // those that there are
}

func (e *UnknownOptionError) Error() string {
	return fmt.Sprintf("there is no option %q after the path, only %s", e.Option, strings.Join(e.Known, ", "))
}

// caddyMode is how caddy says the mode of a socket: unix//run/x.sock|0660.
var caddyMode = regexp.MustCompile(`\|(0?[0-7]{3})$`)

func parseUnix(path string) (Address, error) {
	a := Address{Network: "unix"}
	path = strings.TrimPrefix(path, "//") // unix:///run/x
	path, query, ok := strings.Cut(path, "?")
	if ok {
		if err := a.parseOptions(query); err != nil {
			return Address{}, err
		}
	}
	if m := caddyMode.FindStringSubmatch(path); m != nil {
		mode := "0" + strings.TrimPrefix(m[1], "0")
		return Address{}, fmt.Errorf("a mode is written ?mode=%s, not %s", mode, m[0])
	}
	switch {
	case path == "":
		return Address{}, errors.New("the path is empty")
	case strings.ContainsRune(path, 0):
		return Address{}, errors.New("the path contains a zero byte")
	case strings.HasPrefix(path, "@"):
		return Address{}, errors.New("abstract sockets have no owner or mode and are not supported")
	case strings.HasSuffix(path, "/"):
		return Address{}, errors.New("the path names a folder")
	case len(path) > maxPath:
		return Address{}, fmt.Errorf("the path has %d bytes, a socket's may have %d", len(path), maxPath)
	}
	a.Addr = filepath.Clean(path)
	return a, nil
}

// parseOptions reads mode=0660&user=NAME&group=NAME, in any order.
func (a *Address) parseOptions(query string) error {
	known := []string{optionMode, optionUser, optionGroup}
	seen := map[string]bool{}
	for option := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		switch {
		case !slices.Contains(known, name):
			return &UnknownOptionError{Option: name, Known: known}
		case seen[name]:
			return fmt.Errorf("%s is given twice after the path", name)
		case value == "" || strings.ContainsAny(value, "\x00\n?"):
			return fmt.Errorf("%q after the path: write %s=0660&%s=NAME&%s=NAME, each optional", option, optionMode, optionUser, optionGroup)
		}
		seen[name] = true
		switch name {
		case optionMode:
			mode, err := strconv.ParseUint(value, 8, 9)
			if err != nil || mode == 0 {
				return fmt.Errorf("mode %q is not octal, from 0001 to 0777: write mode=0660", value)
			}
			a.Mode = fs.FileMode(mode)
		case optionUser:
			a.User = value
		case optionGroup:
			a.Group = value
		}
	}
	return nil
}

// unixOptions is what parseOptions reads, with its question mark; empty where all is as by default.
func (a Address) unixOptions() string {
	var all []string
	if a.Mode != 0 && a.Mode != (Address{User: a.User, Group: a.Group}).mode() {
		all = append(all, fmt.Sprintf("%s=%04o", optionMode, a.Mode))
	}
	if a.User != "" {
		all = append(all, optionUser+"="+a.User)
	}
	if a.Group != "" {
		all = append(all, optionGroup+"="+a.Group)
	}
	if all == nil {
		return ""
	}
	return "?" + strings.Join(all, "&")
}

// mode is the mode of the socket's file.
func (a Address) mode() fs.FileMode {
	switch {
	case a.Mode != 0:
		return a.Mode
	case a.User != "" || a.Group != "":
		return groupMode
	}
	return DefaultMode
}

// CheckOwner reports whether the user and the group of a Unix-domain address exist here. It may wait for the system's
// directory of users.
func (a Address) CheckOwner() error {
	_, _, err := a.owner()
	return err
}

// owner is whose the socket is to be: -1 for what stays as it is.
func (a Address) owner() (uid, gid int, err error) {
	uid, gid = -1, -1
	if a.User != "" {
		uid, err = idOf(a.User, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
		if err != nil {
			return -1, -1, fmt.Errorf("there is no user %q here: %w", a.User, err)
		}
	}
	if a.Group != "" {
		gid, err = idOf(a.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
		if err != nil {
			return -1, -1, fmt.Errorf("there is no group %q here: %w", a.Group, err)
		}
	}
	return uid, gid, nil
}

// idOf reads an id, or looks a name up. A number is an id, as no name of a user or group may be a number.
func idOf(text string, lookUp func(name string) (id string, err error)) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(n), nil
	}
	id, err := lookUp(text)
	if err != nil {
		return -1, err
	}
	n, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("its id is %q", id)
	}
	return int(n), nil
}

// explainOwner says why a socket could not be given to its user or group.
func (a Address) explainOwner(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("cannot give the socket to user %q, group %q: %w", a.User, a.Group, err)
	}
	if a.User != "" {
		return fmt.Errorf("cannot give the socket to user %q: %w: only root may, and this is user id %d", a.User, err, os.Geteuid())
	}
	return fmt.Errorf("cannot give the socket to group %q: %w: user id %d is not a member of it; run as a member, or as root", a.Group, err, os.Geteuid())
}
