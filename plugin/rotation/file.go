package rotation

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"m2m-token-enricher/plugin/jws"
)

// lockTimeout is how long a command waits for another one in the same directory.
const lockTimeout = 10 * time.Second

// Load reads the file at path.
func Load(path string) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // it names the path
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, jws.MaxRingSize+1)) // Parse refuses the one more
	if err != nil {
		return nil, err
	}
	s, err := Parse(text, info.ModTime())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Create writes a new file, whole or not at all. The file must not exist.
func Create(path string, text []byte) error {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	written, err := writeBeside(path, text, nil)
	if err != nil {
		return err
	}
	err = os.Link(written, path) // unlike a rename, it doesn't overwrite
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w and is never overwritten; add a key to it, or move it away", path, fs.ErrExist)
	}
	return errors.Join(err, os.Remove(written), syncDir(filepath.Dir(path)))
}

// Update applies step to the file at path, or changes nothing. If it is killed, the
// file has the old content or the new one. Several at once don't lose a step.
func Update(path string, step func(*Set) error) error {
	path, err := filepath.EvalSymlinks(path) // otherwise the link would be replaced
	if err != nil {
		return err
	}
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := Load(path)
	if err != nil {
		return err
	}
	if s.PEM() {
		return fmt.Errorf("%s: %w", path, errPEM)
	}
	if err := step(s); err != nil {
		return err
	}
	text, err := s.Text()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replace(path, text)
}

// errNoStep leaves the file untouched, because its time may be all that is known of
// a key.
var errNoStep = errors.New("no step is due")

// Rotate is [Set.Rotate] for the file at path.
func Rotate(path string, p Policy, now time.Time) (taken, next *Step, err error) {
	err = Update(path, func(s *Set) error {
		if taken, next, err = s.Rotate(p, now); err == nil && taken == nil {
			return errNoStep
		}
		return err
	})
	if errors.Is(err, errNoStep) {
		err = nil
	}
	return taken, next, err
}

// replace writes text to a new file and renames it to path. Users that should be
// able to read the old file can read the new one.
func replace(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	written, err := writeBeside(path, text, info)
	if err != nil {
		return err
	}
	if err := os.Rename(written, path); err != nil {
		return errors.Join(err, os.Remove(written))
	}
	return syncDir(filepath.Dir(path))
}

// writeBeside writes text to a new file in the directory of path and returns its
// name. It is for the readers of old, which is nil if the file is for its owner.
func writeBeside(path string, text []byte, old fs.FileInfo) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), leftover(path)+"*") // mode 0600
	if err != nil {
		return "", err
	}
	err = keepReaders(f, old)
	_, writeErr := f.Write(text)
	if err = errors.Join(err, writeErr, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// keepReaders lets Kong's user read the new file. That user is the owner or, if
// root owns the file and its group can read it, in the group. Only root can give
// files away, and anybody else is the owner.
func keepReaders(f *os.File, old fs.FileInfo) error {
	if old == nil || os.Geteuid() != 0 {
		return nil
	}
	stat := old.Sys().(*syscall.Stat_t)
	err := f.Chown(int(stat.Uid), int(stat.Gid))
	if stat.Uid == 0 && stat.Gid != 0 && old.Mode().Perm()&0o040 != 0 {
		err = errors.Join(err, f.Chmod(0o640))
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// leftover begins the names of the files that are written beside path.
func leftover(path string) string { return "." + filepath.Base(path) + ".new-" }

// removeLeftovers removes the files of killed runs, which contain private keys. The
// lock ensures that nobody is writing them.
func removeLeftovers(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), leftover(path)); ok && strings.Trim(number, "0123456789") == "" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// lock locks the directory of path, and removes what killed runs left there. The
// file itself can't be locked because it is replaced, and a file only for the lock
// would stay. The lock ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err = wait(dir); err == nil {
		err = removeLeftovers(path)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

// wait waits until nobody else has locked dir, and locks it.
func wait(dir *os.File) error {
	deadline := time.Now().Add(lockTimeout)
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return fmt.Errorf("lock %s: %w; another keys command may be running", dir.Name(), err)
		}
		<-retry.C
	}
}
