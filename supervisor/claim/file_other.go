//go:build !linux

package claim

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
)

// fileFolder is where the locked files of this user are: a place that no variable but [EnvWorld] names.
func fileFolder() string {
	if dir := World(); dir != "" {
		return dir
	}
	return "/var/tmp/tine-" + strconv.Itoa(os.Geteuid())
}

// Address is the path of the locked file.
func Address(name string) string { return filepath.Join(fileFolder(), FileName(name)+claimSuffix) }

// Take makes this process the holder of the claim of a name. A *[TakenError] says which master has it.
func Take(ctx context.Context, name string) (*Claim, error) { return takeFile(ctx, fileFolder(), name) }

// Adopt takes the file that another holder has handed on. It is the Claim's, also in an error.
func Adopt(f *os.File) (*Claim, error) { return &Claim{file: f, address: f.Name()}, nil }

// Serve writes what this process says of itself into the file.
func (c *Claim) Serve(about func() About) error { return c.write(about()) }

// Changed writes it again.
func (c *Claim) Changed(about func() About) error { return c.write(about()) }

// Close lets go of the claim. Others that have its file hold it on.
func (c *Claim) Close() error {
	if c == nil {
		return nil
	}
	return c.file.Close()
}

// Ask asks the holder of a name's claim, as on Linux.
func Ask(ctx context.Context, name string) (About, error) { return askFile(ctx, Address(name)) }

// Find asks the holders of all claims of this user and world, by name.
func Find(ctx context.Context) []Found { return findFiles(ctx, fileFolder()) }
