// How an Android app calls the bundle's LiteRT files: encode a picture once, then answer prompts about it.
//
// NEVER RUN HERE: no Android was at hand. It compiles over stubs of LiteRT (tests/firmware/test_android_kotlin.py) and
// follows ../reference.py, which is tested against the runtime. Dependency: com.google.ai.edge.litert:litert (its CPU
// Interpreter; min SDK 23).
package org.edgesam

import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

/** One mask at the size of the picture, row by row, and the model's own estimate of its IoU. */
class Mask(val inside: BooleanArray, val width: Int, val height: Int, val predictedIou: Float)

/** What the encoder said of a picture; good for any number of prompts. */
class Embedding internal constructor(internal val tensors: Map<String, FloatBuffer>, internal val fit: Fit)

/** A prompt about one object: points in picture px; label 1 on it, 0 not on it, 2 and 3 a box's two corners. */
class Prompt(val xs: FloatArray, val ys: FloatArray, val labels: FloatArray) {
    /** A single point on the object: it may mean a part or the whole. */
    val isAmbiguous: Boolean get() = labels.size == 1 && labels[0] == FOREGROUND

    companion object {
        const val FOREGROUND = 1f
        const val PADDING = -1f

        fun point(x: Float, y: Float) = Prompt(floatArrayOf(x), floatArrayOf(y), floatArrayOf(FOREGROUND))

        fun box(x0: Float, y0: Float, x1: Float, y1: Float) =
            Prompt(floatArrayOf(x0, x1), floatArrayOf(y0, y1), floatArrayOf(2f, 3f))
    }
}

/**
 * A bundle's three files. One thread opens, uses and closes it.
 *
 * @param bundle folder with manifest.json and the .tflite files (firmware_scripts/android/deploy.sh puts one there for
 *   trying out; an app ships them in its assets and copies them to filesDir, because a File is memory-mapped)
 * @param side of the encoder: 512 or 384
 */
class Segmenter(bundle: File, private val side: Int = 512, threads: Int = 4) : Closeable {
    private val manifest = JSONObject(File(bundle, "manifest.json").readText())
    private val decoder = manifest.getJSONObject("decoder")
    private val padValue = manifest.getJSONObject("preprocess").getInt("pad_value")
    private val points = decoder.getInt("points_per_prompt")
    private val cells = side / decoder.getInt("mask_stride")
    private val ambiguousAnswers = decoder.getJSONArray("ambiguous_answers").let { a -> List(a.length()) { a.getInt(it) } }

    private val encoder = open(bundle, "encoder", threads)
    private val scorer = open(bundle, "scorer", threads)
    private val maskHead = open(bundle, "mask_head", threads)
    private val one = "side${side}_prompts1_points$points"

    /** Encode a picture: [rgb] has height x width x 3 bytes. */
    fun encode(rgb: ByteArray, width: Int, height: Int): Embedding {
        val fit = Fit(width, height, side)
        val square = toSquare(rgb, fit, padValue)
        // The file takes int8 and has its zero point at byte 127: byte - 128, which is one bit.
        val input = ByteBuffer.allocateDirect(square.size)
        for (byte in square) input.put((byte.toInt() xor 0x80).toByte())
        input.rewind()
        val outputs = outputsOf(encoder, "side$side")
        encoder.runSignature(mapOf("pixels_u8" to input), outputs, "side$side")
        return Embedding(outputs.mapValues { floats(it.value) }, fit)
    }

    /** Answer one prompt about a picture that was encoded. */
    fun segment(embedding: Embedding, prompt: Prompt): Mask {
        val feeds = embedding.tensors + promptTensors(embedding.fit, prompt)
        val scored = run(scorer, feeds)
        val scores = scored.getValue("iou_predictions")
        val tokens = scored.getValue("mask_tokens")
        val length = tokens.capacity() / scores.capacity()
        var best: Pair<Float, FloatBuffer>? = null
        for (answer in answers(scores, prompt)) {
            val token = FloatArray(length) { tokens.get(answer * length + it) }
            val made = run(maskHead, feeds + ("mask_tokens" to direct(token)))
            val score = made.getValue("iou_predictions").get(0)
            if (best == null || score > best.first) best = score to made.getValue("low_res_masks")
        }
        val (score, logits) = checkNotNull(best)
        return toPicture(logits, cells, embedding.fit, score, decoder.getDouble("mask_threshold").toFloat())
    }

    /** Which answers to make: of an ambiguous prompt all that may be the best, else the one for clear prompts. */
    private fun answers(scores: FloatBuffer, prompt: Prompt): List<Int> {
        if (!prompt.isAmbiguous) return listOf(decoder.getInt("clear_answer"))
        val least = ambiguousAnswers.maxOf { scores.get(it) } - decoder.getDouble("second_look").toFloat()
        return ambiguousAnswers.filter { scores.get(it) >= least }
    }

    private fun promptTensors(fit: Fit, prompt: Prompt): Map<String, FloatBuffer> {
        val coords = FloatArray(2 * points)
        val labels = FloatArray(points) { Prompt.PADDING }
        for (i in prompt.labels.indices) {
            coords[2 * i] = fit.unitX(prompt.xs[i])
            coords[2 * i + 1] = fit.unitY(prompt.ys[i])
            labels[i] = prompt.labels[i]
        }
        return mapOf(
            "point_coords" to direct(coords),
            "point_labels" to direct(labels),
            "mask_input" to direct(FloatArray(cells * cells)),
            "has_mask_input" to direct(FloatArray(1)),
            "covered_hw" to direct(fit.covered(decoder.getInt("cut_multiple"))),
        )
    }

    /** Run a file for one prompt, on those of the tensors that it takes. */
    private fun run(file: Interpreter, tensors: Map<String, FloatBuffer>): Map<String, FloatBuffer> {
        val inputs = file.getSignatureInputs(one).associateWith { tensors.getValue(it).rewind() as Any }
        val outputs = outputsOf(file, one)
        file.runSignature(inputs, outputs, one)
        return outputs.mapValues { floats(it.value) }
    }

    override fun close() = listOf(encoder, scorer, maskHead).forEach(Interpreter::close)
}

private fun open(bundle: File, part: String, threads: Int) =
    Interpreter(File(bundle, "$part.tflite"), Interpreter.Options().setNumThreads(threads))

/** Empty buffers for all outputs of a signature; all of them are float32. */
private fun outputsOf(file: Interpreter, signature: String): Map<String, Any> =
    file.getSignatureOutputs(signature).associateWith {
        ByteBuffer.allocateDirect(file.getOutputTensorFromSignature(it, signature).numBytes()).order(ByteOrder.nativeOrder())
    }

private fun floats(buffer: Any): FloatBuffer = (buffer as ByteBuffer).also { it.rewind() }.asFloatBuffer()

private fun direct(values: FloatArray): FloatBuffer =
    ByteBuffer.allocateDirect(4 * values.size).order(ByteOrder.nativeOrder()).asFloatBuffer().put(values).also { it.rewind() }
