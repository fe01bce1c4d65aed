import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The messages every peer sends, each a function of its run and its number, so that any peer can tell of a message
 * from any other whether it is intact. The other peers hold the same rules: interop/peers/samples.ts states them.
 */
final class Samples {
    private static final String[] TAGS = {"TagA", "TagB", "标签"};

    private Samples() {
    }

    static String tag(int index) {
        return TAGS[index % 3];
    }

    static String key(String run, int index) {
        return run + "-" + index;
    }

    /** The second key, shared by a hundredth of the messages. */
    static String groupKey(String run, int index) {
        return run + "-group-" + index % 100;
    }

    static String city(int index) {
        return "上海-" + index;
    }

    static byte[] body(String run, int index) {
        int repeats = index % 40 == 0 ? 400 : index % 10 == 3 ? 40 : 2;
        String unit = "北京αβγ😀-" + index % 97 + ";";
        StringBuilder text = new StringBuilder(run).append(':').append(index).append(':');
        for (int i = 0; i < repeats; i++) {
            text.append(unit);
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    static Message message(String topic, String run, int index) {
        Message message = new Message(topic, tag(index), body(run, index));
        Collection<String> keys = Arrays.asList(key(run, index), groupKey(run, index));
        message.setKeys(keys);
        message.putUserProperty("run", run);
        message.putUserProperty("index", String.valueOf(index));
        message.putUserProperty("city", city(index));
        message.setFlag(index % 7);
        return message;
    }

    /** What is wrong with a received message, null when it is exactly what was sent. */
    static String fault(MessageExt message) {
        String run = message.getUserProperty("run");
        int index = Integer.parseInt(message.getUserProperty("index"));
        if (!Arrays.equals(message.getBody(), body(run, index))) {
            return "body of " + index + " differs: " + message.getBody().length + " bytes";
        }
        if (!tag(index).equals(message.getTags())) {
            return "tags of " + index + ": " + message.getTags();
        }
        if (!(key(run, index) + " " + groupKey(run, index)).equals(message.getKeys())) {
            return "keys of " + index + ": " + message.getKeys();
        }
        if (!city(index).equals(message.getUserProperty("city"))) {
            return "city of " + index + ": " + message.getUserProperty("city");
        }
        return null;
    }
}
