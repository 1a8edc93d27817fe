"""Random training windows of the movement model: what a new person or a shifted strap changes.

Six people wear one watch in nearly one way.  Each window drawn here is moved,
stretched and turned as another person's could be; the labels are the set's own.
"""
import numpy as np

SETTINGS = dict(
    tempo=0.12,            # sd of log speed: people move faster and slower
    tilt_rad=0.15,         # sd of a small rotation about any axis: a loose strap
    roll_rad=0.20,         # sd of a further rotation about x, the forearm: pronation
    gyro_gain=0.10,        # sd of log gain
    acc_bias_g=0.02,       # sd per axis and window
    acc_noise_g=0.01,      # sd per sample
    gyro_noise_dps=1.0,    # sd per sample
    majority=0.75,         # share of samples that must carry the label: transitions teach little
    keep=[1.0, 1.0, 0.45, 0.8, 1.0],  # thinning of the frequent classes, in class order
)


def rotations(rng, n, tilt, roll):
    """n rotation matrices [n, 3, 3] of normally distributed rotation vectors (Rodrigues)."""
    v = rng.normal(0, tilt, (n, 3))
    v[:, 0] += rng.normal(0, roll, n)
    angle = np.linalg.norm(v, axis=1) + 1e-9
    k = v / angle[:, None]
    cross = np.zeros((n, 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -k[:, 2], k[:, 1], -k[:, 0]
    cross -= cross.transpose(0, 2, 1)
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sin * cross + (1 - cos) * (cross @ cross)


def draw(streams, labels, rng, n, window, skip, classes, s=SETTINGS):
    """n random windows: (float32 [n, 6, window], class int [n]).

    `streams`: filtered float32 [6, length] in g and deg/s; `labels`: class per sample;
    `skip`: samples at each stream's start not to use (the filter's warm-up).
    """
    x = np.empty((n, 6, window), np.float32)
    y = np.empty(n, int)
    share = np.array([v.shape[1] for v in streams], float)
    share /= share.sum()
    ramp = np.arange(window) / (window - 1)
    i = 0
    while i < n:
        which = rng.choice(len(streams), p=share)
        stream, label = streams[which], labels[which]
        tempo = np.exp(rng.normal(0, s["tempo"]))
        room = stream.shape[1] - 1 - skip - tempo * (window - 1)
        if room <= 0:
            continue
        t = skip + rng.random() * room + tempo * (window - 1) * ramp
        count = np.bincount(label[np.rint(t).astype(int)], minlength=classes)
        y[i] = count.argmax()
        if count.max() < s["majority"] * window or rng.random() > s["keep"][y[i]]:
            continue
        left = np.minimum(t.astype(int), stream.shape[1] - 2)
        a = t - left
        x[i] = stream[:, left] * (1 - a) + stream[:, left + 1] * a
        x[i, 3:] *= tempo  # a movement played `tempo` times as fast turns that much faster
        i += 1
    turn = rotations(rng, n, s["tilt_rad"], s["roll_rad"])
    x[:, :3] = turn @ x[:, :3]
    x[:, 3:] = turn @ x[:, 3:]
    x[:, 3:] *= np.exp(rng.normal(0, s["gyro_gain"], (n, 1, 1)))
    x[:, :3] += rng.normal(0, s["acc_bias_g"], (n, 3, 1)) + rng.normal(0, s["acc_noise_g"], (n, 3, window))
    x[:, 3:] += rng.normal(0, s["gyro_noise_dps"], (n, 3, window))
    return x, y
