// Runs Pictures.kt on files, for test_android_kotlin.py: WIDTH HEIGHT SIDE in the folder with rgb.bin and logits.bin.
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.edgesam.Fit
import org.edgesam.toPicture
import org.edgesam.toSquare

fun main(words: Array<String>) {
    val (width, height, side) = words.map(String::toInt)
    val fit = Fit(width, height, side)
    File("square.bin").writeBytes(toSquare(File("rgb.bin").readBytes(), fit, 127))
    val logits = ByteBuffer.wrap(File("logits.bin").readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    val mask = toPicture(logits, side / 4, fit, 0.5f, 0f)
    File("mask.bin").writeBytes(ByteArray(width * height) { if (mask.inside[it]) 1 else 0 })
    println((fit.covered(32).toList() + listOf(fit.unitX(345f), fit.unitY(120f))).joinToString(" "))
}
