"""What each number of the page means, in a sentence or two."""

MAE = "Mean absolute difference between predicted and recorded action, over all steps and joints."
RMSE = "Root of the mean squared difference: large errors weigh more than in the MAE."
P95 = "95 of 100 differences are smaller, over all steps and joints."
LARGEST = "The largest single difference of any joint at any step."
OF_STD = (
    "MAE over the standard deviation of the recorded action in the whole dataset, averaged over joints: 100 % is an "
    "error as large as the motion's own spread."
)
SKILL = (
    "1 minus the policy's mean squared error over that of the best baseline, a predictor that needs no policy. "
    "1 is perfect, 0 is no better than the baseline, below 0 is worse."
)
DIRECTION = (
    "Mean cosine of the angle between the predicted and the recorded motion of a step, all joints as one vector: 1 is "
    "the same direction, 0 is at right angles, -1 is opposite."
)
DRIFT_CHUNK = "How far the predicted deltas of one chunk, summed, end from where the recorded ones end."
DRIFT_EPISODE = "The same over a whole episode: errors that cancel don't count, a steady bias adds up."
BORDER_JUMP = (
    "Mean change of the action from one step to the next where a new chunk begins. Much larger than inside chunks: "
    "successive chunks disagree, and the arm jerks there."
)
JERK = "Root mean square of the third derivative of the joint positions that the actions ask for: smaller is smoother."
ARC_LENGTH = "Spectral arc length of the speed profile, mean over episodes: nearer to 0 is smoother."
DISAGREEMENT = "Root mean square of what successive chunks say differently about the same step."
PREDICTOR = (
    "Each baseline knows what the policy knows at the moment when the policy is asked, and needs no policy. "
    "The policy has to beat the best of them."
)
STEP = "All that one control step waits for: a network call with its pre- and postprocessing, or a queue pop."
FORWARD = "The network alone."
PREPROCESS = "Normalisation and the copy to the device, before the network."
POSTPROCESS = "The copy back and denormalisation, after the network."
QUEUE_POP = "A step that takes the next action of the chunk and asks no network."
DECODE = "Waiting for a camera frame of the recording; a robot's camera has no such wait."
